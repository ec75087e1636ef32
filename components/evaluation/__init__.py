# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a trained model: rows of every sample, operating points, calibration, subgroups, one page."""

from __future__ import annotations

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.calibration import (
    binary_temperature,
    calibrated_probabilities,
    fit_temperature,
    reliability,
    weighted_brier,
    weighted_ece,
)
from radbundles.components.evaluation.classification_evaluator import ClassificationEvaluator
from radbundles.components.evaluation.classification_scores import (
    calibration_scores,
    classification_result,
    confusion_matrix,
)
from radbundles.components.evaluation.classification_table import PredictionTable, hashed_id
from radbundles.components.evaluation.detection import DetectionEvaluator
from radbundles.components.evaluation.detection_points import box_points
from radbundles.components.evaluation.detection_result import DETECTION_SCORES, evaluate_detection, match_table
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.facts import sample_facts, subgroup_rows
from radbundles.components.evaluation.fit_operating_points import FitOperatingPoints
from radbundles.components.evaluation.operating import operating_points, read_points
from radbundles.components.evaluation.page import evaluation_page
from radbundles.components.evaluation.protocol import Evaluation, Evaluator, Facts, SampleTable
from radbundles.components.evaluation.read_table import read_table
from radbundles.components.evaluation.result import as_json, bounds, read_json, write_json
from radbundles.components.evaluation.segmentation import SegmentationEvaluator
from radbundles.components.evaluation.segmentation_points import mask_points
from radbundles.components.evaluation.segmentation_result import evaluate_segmentation
from radbundles.components.evaluation.segmentation_table import SegmentationTable
from radbundles.components.evaluation.write_evaluation import WriteEvaluation

__all__ = [
    "DETECTION_SCORES",
    "ClassificationEvaluator",
    "DetectionEvaluator",
    "DetectionTable",
    "Evaluation",
    "Evaluator",
    "Facts",
    "FitOperatingPoints",
    "PredictionTable",
    "SampleTable",
    "SegmentationEvaluator",
    "SegmentationTable",
    "WriteEvaluation",
    "as_json",
    "binary_temperature",
    "bootstrapped",
    "bounds",
    "box_points",
    "calibrated_probabilities",
    "calibration_scores",
    "classification_result",
    "confusion_matrix",
    "evaluate_detection",
    "evaluate_segmentation",
    "evaluation_page",
    "fit_temperature",
    "hashed_id",
    "mask_points",
    "match_table",
    "operating_points",
    "read_json",
    "read_points",
    "read_table",
    "reliability",
    "sample_facts",
    "subgroup_rows",
    "weighted_brier",
    "weighted_ece",
    "write_json",
]
