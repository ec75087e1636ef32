# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether detections of a score hit as often as the score says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.calibration import BINS, reliability
from radbundles.components.evaluation.detection_points import calibrated_matches
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.result import bounds
from radbundles.components.metrics.detection_matches import Matches
from radbundles.components.metrics.detection_scores import class_mean

__all__ = ["box_calibration"]

Floats = NDArray[np.float64]


def box_calibration(
    table: DetectionTable,
    per_class: Sequence[Matches],
    points: Mapping[str, Any] | None,
    iou: float,
    **draws: Any,
) -> dict[str, Any]:
    """Calibration before and after the temperatures of the operating points.

    A detection is a yes-or-no question: does it hit a true box? Patients are drawn with all their detections.

    Args:
        table: of the detections.
        per_class: its matches.
        points: of :func:`~radbundles.components.evaluation.detection_points.box_points`.
        iou: overlap of a hit.
        draws: ``resamples``, ``level`` and ``seed``.

    Returns:
        ``temperature``, ``before`` and ``after`` (``ece`` and ``brier``, means over the classes of which something was
        found) and ``bins`` (of all classes together). Without points there is no ``after``.
    """
    found: dict[str, Any] = {"temperature": None if points is None else points["temperature"]}
    bins = {}
    for stage, used in {"before": None, **({} if points is None else {"after": points})}.items():
        scores = _Calibration(calibrated_matches(per_class, table.classes, used), iou)
        found[stage] = {name: bounds(entry) for name, entry in bootstrapped(scores, table.clusters, **draws).items()}
        bins[stage] = reliability(*scores.pooled()).to_dict()
    return found | {"bins": bins}


class _Calibration:
    """ECE and Brier score of detections for weights [R, N] of the images."""

    def __init__(self, per_class: Sequence[Matches], iou: float) -> None:
        self.classes = [(matches, matches.hits[matches.place(iou)]) for matches in per_class]
        self.sums = [_sums_by_image(matches, hits) for matches, hits in self.classes]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        columns: dict[str, list[Floats]] = {"ece": [], "brier": []}
        for gaps, squares, counts in self.sums:
            with np.errstate(invalid="ignore"):
                columns["ece"].append(np.abs(weights @ gaps).sum(axis=1) / (weights @ counts))
                columns["brier"].append((weights @ squares) / (weights @ counts))
        return {name: class_mean(np.stack(values, axis=1)) for name, values in columns.items()}

    def pooled(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Scores and outcomes of all classes."""
        scores, hits = zip(*((matches.scores, hits) for matches, hits in self.classes), strict=True)
        return np.concatenate(scores), np.concatenate(hits)


def _sums_by_image(matches: Matches, hits: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """What each image adds to the gap between score and outcome in each bin [N, bins], to its square, and to the count.

    The bins are those of :func:`~radbundles.components.evaluation.calibration.weighted_ece`, which takes a weight for
    each detection; summed by image, a resample costs no more than its images.
    """
    N, gap = len(matches.truths), matches.scores - hits
    place = np.minimum((matches.scores * BINS).astype(np.intp), BINS - 1)
    gaps, squares = np.zeros((N, BINS)), np.zeros(N)
    np.add.at(gaps, (matches.images, place), gap)
    np.add.at(squares, matches.images, gap**2)
    return gaps, squares, np.bincount(matches.images, minlength=N).astype(np.float64)
