# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points of a detector: temperature and threshold of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from radbundles.components.evaluation.calibration import binary_temperature
from radbundles.components.evaluation.operating import DEFAULT_THRESHOLD
from radbundles.components.metrics.detection_matches import Matches
from radbundles.components.metrics.detection_scores import best_f1_threshold

__all__ = ["box_points", "calibrated_matches", "class_thresholds"]

# Scores are kept to nine digits; those of 0 and 1 have no logit.
_LEAST = 1e-9


def box_points(per_class: Sequence[Matches], classes: Sequence[str], iou: float) -> dict[str, Any]:
    """Choose operating points on images of the validation section.

    A detection is a yes-or-no question: does it hit a true box? The temperature of its class divides the logit of its
    score, fitted to the likelihood of what is true. The threshold, on the calibrated score, is that of the best F1.

    Args:
        per_class: matches of the K classes on the validation section.
        classes: their names.
        iou: overlap of a hit.

    Returns:
        ``rule``, ``iou``, ``thresholds`` (None for a class of which nothing is hit), ``temperature`` (None for a class
        whose detections do not both hit and miss) and ``samples``.
    """
    temperature = {
        name: binary_temperature(_logits(matches.scores), matches.hits[matches.place(iou)])
        for name, matches in zip(classes, per_class, strict=True)
    }
    calibrated = calibrated_matches(per_class, classes, {"temperature": temperature})
    return {
        "rule": f"best F1 at an overlap (IoU) of {iou:g}",
        "iou": iou,
        "thresholds": {
            name: best_f1_threshold(matches, iou) for name, matches in zip(classes, calibrated, strict=True)
        },
        "temperature": temperature,
        "samples": len(per_class[0].truths),
    }


def calibrated_matches(
    per_class: Sequence[Matches], classes: Sequence[str], points: Mapping[str, Any] | None
) -> list[Matches]:
    """The matches with the scores that the temperatures make of theirs; order and hits are the same."""
    temperature = {} if points is None else points["temperature"]
    return [
        replace(matches, scores=expit(_logits(matches.scores) / (temperature.get(name) or 1.0)))
        for name, matches in zip(classes, per_class, strict=True)
    ]


def class_thresholds(classes: Sequence[str], points: Mapping[str, Any] | None) -> list[float]:
    """Threshold of each class on its calibrated scores; 0.5 where none was chosen."""
    chosen = {} if points is None else points["thresholds"]
    cuts = (chosen.get(name) for name in classes)
    return [DEFAULT_THRESHOLD if cut is None else float(cut) for cut in cuts]


def _logits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(scores, _LEAST, 1 - _LEAST)))
