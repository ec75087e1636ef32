# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether detections of a score hit as often as the score says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.calibration import reliability, weighted_brier, weighted_ece
from radbundles.components.evaluation.detection_points import calibrated_matches
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.result import bounds
from radbundles.components.metrics.detection_matches import Matches
from radbundles.components.metrics.detection_scores import class_mean, in_blocks

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

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        columns = [self._of_class(matches, hits, weights) for matches, hits in self.classes]  # [R, 2] each
        return dict(zip(("ece", "brier"), class_mean(np.stack(columns, axis=2)).T, strict=True))

    def _of_class(self, matches: Matches, hits: NDArray[np.bool_], weights: Floats) -> Floats:
        if not len(hits):
            return np.full((len(weights), 2), np.nan)

        def scores(part: Floats) -> Floats:
            drawn = part[:, matches.images]
            ece, brier = weighted_ece(matches.scores, hits, drawn), weighted_brier(matches.scores, hits, drawn)
            return np.stack([ece, brier], axis=1)

        return in_blocks(scores, weights, len(hits))

    def pooled(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Scores and outcomes of all classes."""
        scores, hits = zip(*((matches.scores, hits) for matches, hits in self.classes), strict=True)
        return np.concatenate(scores), np.concatenate(hits)
