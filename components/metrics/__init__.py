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
from radbundles.components.metrics.classification_metric import ClassificationMetric
from radbundles.components.metrics.detection_map import DetectionMAP
from radbundles.components.metrics.detection_matches import COCO_IOUS, OFFICIAL_IOUS, ImageBoxes, Matches, match_boxes
from radbundles.components.metrics.detection_scores import (
    FROC_RATES,
    coco_scores,
    froc_sensitivity,
    official_ecamp_map,
)
from radbundles.components.metrics.grounding import GROUNDING_SCORES, grounding_score, grounding_scores
from radbundles.components.metrics.grounding_table import GroundingTable
from radbundles.components.metrics.images import ImagePSNR, ImageSSIM
from radbundles.components.metrics.losses import LossAverage
from radbundles.components.metrics.mean import EpochMean
from radbundles.components.metrics.official_dice import OfficialDice
from radbundles.components.metrics.present_dice import PresentDice
from radbundles.components.metrics.protocols import PROTOCOLS, GroundingProtocol, grounding_protocol
from radbundles.components.metrics.regions import to_display, under_mask, under_window
from radbundles.components.metrics.score_classification import ScoreClassification
from radbundles.components.metrics.score_grounding import ScoreGrounding
from radbundles.components.metrics.selection_metric import NegativeLoss, selection_metric
from radbundles.components.metrics.thresholds import choose_thresholds
from radbundles.components.metrics.tokens import MaskedTokenAccuracy, MaskedTokenCount

__all__ = [
    "COCO_IOUS",
    "FROC_RATES",
    "GROUNDING_SCORES",
    "OFFICIAL_IOUS",
    "PROTOCOLS",
    "ClassificationMetric",
    "ClassificationScores",
    "DetectionMAP",
    "EpochMean",
    "GroundingProtocol",
    "GroundingTable",
    "ImageBoxes",
    "ImagePSNR",
    "ImageSSIM",
    "Interval",
    "LossAverage",
    "MaskedTokenAccuracy",
    "MaskedTokenCount",
    "Matches",
    "OfficialDice",
    "NegativeLoss",
    "PresentDice",
    "ScoreClassification",
    "ScoreGrounding",
    "bootstrap_interval",
    "centered_box_map",
    "choose_thresholds",
    "classification_scores",
    "coco_scores",
    "froc_sensitivity",
    "grounding_protocol",
    "grounding_score",
    "grounding_scores",
    "match_boxes",
    "multiclass_accuracy",
    "official_ecamp_map",
    "percentile_interval",
    "resample_counts",
    "selection_metric",
    "to_display",
    "under_mask",
    "under_window",
]
