# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores with their confidence intervals, and the Ignite metrics that gather them over items and processes."""

from __future__ import annotations

from radbundles.components.metrics.bootstrap import Interval, bootstrap_interval, percentile_interval, resample_counts
from radbundles.components.metrics.centered_box import centered_box_map
from radbundles.components.metrics.classification import (
    ClassificationScores,
    classification_scores,
    multiclass_accuracy,
)
from radbundles.components.metrics.grounding import GROUNDING_SCORES, grounding_score, grounding_scores
from radbundles.components.metrics.grounding_table import GroundingTable
from radbundles.components.metrics.images import ImagePSNR, ImageSSIM
from radbundles.components.metrics.losses import LossAverage
from radbundles.components.metrics.mean import EpochMean
from radbundles.components.metrics.present_dice import PresentDice
from radbundles.components.metrics.protocols import PROTOCOLS, GroundingProtocol, grounding_protocol
from radbundles.components.metrics.regions import to_display, under_mask, under_window
from radbundles.components.metrics.score_classification import ScoreClassification
from radbundles.components.metrics.score_grounding import ScoreGrounding
from radbundles.components.metrics.thresholds import choose_thresholds
from radbundles.components.metrics.tokens import MaskedTokenAccuracy, MaskedTokenCount

__all__ = [
    "GROUNDING_SCORES",
    "PROTOCOLS",
    "ClassificationScores",
    "EpochMean",
    "GroundingProtocol",
    "GroundingTable",
    "ImagePSNR",
    "ImageSSIM",
    "Interval",
    "LossAverage",
    "MaskedTokenAccuracy",
    "MaskedTokenCount",
    "PresentDice",
    "ScoreClassification",
    "ScoreGrounding",
    "bootstrap_interval",
    "centered_box_map",
    "choose_thresholds",
    "classification_scores",
    "grounding_protocol",
    "grounding_score",
    "grounding_scores",
    "multiclass_accuracy",
    "percentile_interval",
    "resample_counts",
    "to_display",
    "under_mask",
    "under_window",
]
