# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How far the scores of pixels can be believed, from the histograms of their logits.

Every image weighs the same, whatever its size; where a class is absent, all pixels lie outside. A pixel's score is that
of the middle of its bin of logits, which moves it by 0.018 at most, and a mean of many by far less.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from radbundles.components.evaluation.calibration import BINS, HIGHEST, LOWEST, Reliability
from radbundles.components.evaluation.segmentation_table import SegmentationTable
from radbundles.components.metrics.segmentation_histogram import logits_of_bins

__all__ = ["PixelCalibration", "pixel_temperature"]

Floats = NDArray[np.float64]


def pixel_temperature(table: SegmentationTable) -> float | None:
    """Temperature of the pixels of a table: the T that logits are divided by for the least negative log likelihood.

    Args:
        table: rows of one class, of the validation section.

    Returns:
        T between 0.05 and 20, or None where no pixel, or each, lies inside.
    """
    rows, entries = table.entries
    pixels = table.counts[rows, 0]
    bins, place = np.unique(entries[:, 0], return_inverse=True)
    outside, inside = (np.bincount(place, entries[:, side] / pixels, minlength=len(bins)) for side in (1, 2))
    if not outside.any() or not inside.any():
        return None
    logits = logits_of_bins(bins)

    def loss(logarithm: float) -> float:
        scaled = logits / np.exp(logarithm)
        return float(outside @ np.logaddexp(0, scaled) + inside @ np.logaddexp(0, -scaled))

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


class PixelCalibration:
    """Calibration error over 15 equal bins, and Brier score, of the pixels of each class.

    Called with weights [R, N], how often each of the N rows was drawn, it returns ``ece`` and ``brier``, each [R, K]
    and nan for a class that nothing weighs in.

    Args:
        table: N rows.
        temperatures: [K] that logits are divided by.
    """

    def __init__(self, table: SegmentationTable, temperatures: Sequence[float]) -> None:
        N, K = len(table), len(table.classes)
        rows, entries = table.entries
        pixels = table.counts[rows, 0]
        logits = logits_of_bins(entries[:, 0]) / np.asarray(temperatures, np.float64)[table.places[rows]]
        score = np.asarray(expit(logits))
        bins = np.minimum((score * BINS).astype(np.intp), BINS - 1)
        outside, inside = entries[:, 1] / pixels, entries[:, 2] / pixels
        gaps = score * outside - (1 - score) * inside  # what the scores of these pixels add up to, less the truth
        squares = score**2 * outside + (1 - score) ** 2 * inside
        self.members = [np.flatnonzero(table.places == place) for place in range(K)]
        self.gaps = np.bincount(rows * BINS + bins, gaps, minlength=N * BINS).reshape(N, BINS)
        self.squares = np.bincount(rows, squares, minlength=N)
        sums = [np.bincount(bins, part, minlength=BINS) for part in (score * (outside + inside), inside)]
        self._sums = (*sums, np.bincount(bins, outside + inside, minlength=BINS))
        self._pixels = np.bincount(bins, entries[:, 1] + entries[:, 2], minlength=BINS)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Scores of each weighting."""
        ece, brier = np.empty((2, len(weights), len(self.members)))
        for place, member in enumerate(self.members):
            of_class = weights[:, member]
            with np.errstate(invalid="ignore"):
                ece[:, place] = np.abs(of_class @ self.gaps[member]).sum(1) / of_class.sum(1)
                brier[:, place] = of_class @ self.squares[member] / of_class.sum(1)
        return {"ece": ece, "brier": brier}

    def reliability(self) -> Reliability:
        """Bins of the reliability picture, of all classes together; their counts are pixels."""
        scores, inside, total = self._sums
        with np.errstate(invalid="ignore"):
            return Reliability(scores / total, inside / total, self._pixels.astype(np.intp))
