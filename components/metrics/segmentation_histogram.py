# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Logits of a mask's pixels as counts in bins: small enough to keep for every image.

Bin b holds the logits from e(b) up to e(b + 1), where e(b) is 2^(b / 8) - 1, and -e(-b) below zero: bins are narrow
where a sigmoid is steep, so that within one the score changes by 0.035 at most. The outermost of the 80 bins hold
everything beyond. From these counts come the pixels above any of ``LEVELS``, and what calibration needs, without a
second look at the image.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["LEVELS", "counts_at_levels", "logit_histogram", "logits_of_bins"]

_PER_OCTAVE = 8
_LAST = 5 * _PER_OCTAVE  # bins on each side of zero; the sigmoid of the last edge, 31, is 1 in float32
_LEVEL = 2 * _PER_OCTAVE  # bins on each side of zero whose edges are levels


def _logits(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits at edges, or between them."""
    return np.asarray(np.sign(edges) * np.expm1(np.abs(edges) / _PER_OCTAVE * math.log(2)))


# Logits that may become an operating threshold, 33 from -3 to 3: scores from 0.047 to 0.953.
LEVELS = _logits(np.arange(-_LEVEL, _LEVEL + 1.0))


def logit_histogram(logits: torch.Tensor, inside: torch.Tensor) -> NDArray[np.int64]:
    """Count the pixels of an image by logit and truth.

    Args:
        logits: [H, W] float32.
        inside: bool [H, W], the true mask.

    Returns:
        [n, 3]: number of a bin, its pixels outside and inside the true mask. Empty bins are left out.

    Raises:
        ValueError: a logit is not a number.
    """
    if logits.amin().isnan():  # far cheaper than to look at each
        raise ValueError("a logit is not a number")
    place = logits.abs().log1p_().mul_(_PER_OCTAVE / math.log(2)).copysign_(logits)
    bins = place.floor_().clamp_(-_LAST, _LAST - 1).to(torch.int16)
    bins += _LAST
    bins += inside.to(torch.int16) * (2 * _LAST)
    counts = torch.bincount(bins.ravel(), minlength=4 * _LAST).view(2, -1).cpu().numpy()
    taken = np.flatnonzero(counts.any(0))
    return np.column_stack([taken - _LAST, *counts[:, taken]])


def logits_of_bins(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logit in the middle of each bin, which stands for all of its pixels."""
    return _logits(bins.astype(np.float64) + 0.5)


def counts_at_levels(
    rows: NDArray[np.int64], entries: NDArray[np.int64], total: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels at or above each of ``LEVELS``.

    Args:
        rows: [n], the image that each entry belongs to, from 0.
        entries: [n, 3] of :func:`logit_histogram`.
        total: number of images.

    Returns:
        Predicted pixels [total, levels], and those of them that lie inside the true mask.
    """
    L = len(LEVELS)
    reached = np.clip(entries[:, 0] + _LEVEL + 1, 0, L)  # how many levels a bin reaches
    place = rows * (L + 1) + reached

    def above(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        per_bin = np.bincount(place, counts, minlength=total * (L + 1)).reshape(total, L + 1)
        return np.cumsum(per_bin[:, :0:-1], axis=1, dtype=np.float64)[:, ::-1]

    inside = above(entries[:, 2])
    return above(entries[:, 1]) + inside, inside
