# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask a network that learned from images and sentences in words: where a phrase lies, and how well it fits."""

from __future__ import annotations

from radbundles.components.inference.outline import Polygon as Polygon
from radbundles.components.inference.preview import PreviewRadiographd as PreviewRadiographd
from radbundles.components.zero_shot.class_prompts import ClassPrompts
from radbundles.components.zero_shot.dense_zero_shot import DenseZeroShot
from radbundles.components.zero_shot.exam_inferer import ExamInferer
from radbundles.components.zero_shot.exam_targets import ExamTargetsd, collate_exam, exam_classes
from radbundles.components.zero_shot.inferer import ZeroShotInferer
from radbundles.components.zero_shot.load_zero_shot import load_zero_shot
from radbundles.components.zero_shot.locate import BoxRule, Place, ScoreRule
from radbundles.components.zero_shot.prompt_table import Prompts, PromptTable, prompt_table
from radbundles.components.zero_shot.results import Grounding, ImageEmbedding, Segmentation
from radbundles.components.zero_shot.similarity import (
    cosine_maps,
    pool_cells,
    share_maps,
    smooth_maps,
    smoothing_matrix,
)
from radbundles.components.zero_shot.write_findings import WriteFindings, findings_schema
from radbundles.components.zero_shot.zero_shot import Comparison, ZeroShot

__all__ = [
    "BoxRule",
    "ClassPrompts",
    "Comparison",
    "DenseZeroShot",
    "ExamInferer",
    "ExamTargetsd",
    "Grounding",
    "ImageEmbedding",
    "Place",
    "PromptTable",
    "Prompts",
    "ScoreRule",
    "Segmentation",
    "WriteFindings",
    "ZeroShot",
    "ZeroShotInferer",
    "collate_exam",
    "cosine_maps",
    "exam_classes",
    "findings_schema",
    "load_zero_shot",
    "pool_cells",
    "prompt_table",
    "share_maps",
    "smooth_maps",
    "smoothing_matrix",
]
