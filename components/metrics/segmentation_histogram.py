# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Logits of a mask's pixels as counts in bins: small enough to keep for every image.

Bin b holds the logits from b / 8 up to (b + 1) / 8, the outermost ones everything beyond. From these counts come the
pixels above any of ``LEVELS``, and what calibration needs, without a second look at the image.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["LEVELS", "counts_at_levels", "logit_histogram", "logits_of_bins"]

# A power of two: a float32 logit falls on the right side of an edge.
_PER_UNIT = 8
_LAST = 32 * _PER_UNIT  # a sigmoid of 32 is 1 in float32
# Logits that may become an operating threshold: scores from 0.047 to 0.953.
LEVELS: NDArray[np.float64] = np.arange(-3 * _PER_UNIT, 3 * _PER_UNIT + 1) / _PER_UNIT


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
    if logits.isnan().any():
        raise ValueError("a logit is not a number")
    bins = (logits * _PER_UNIT).floor_().clamp_(-_LAST, _LAST - 1).to(torch.int16)
    bins += _LAST
    bins += inside.to(torch.int16) * (2 * _LAST)
    counts = torch.bincount(bins.ravel(), minlength=4 * _LAST).view(2, -1).cpu().numpy()
    taken = np.flatnonzero(counts.any(0))
    return np.column_stack([taken - _LAST, *counts[:, taken]])


def logits_of_bins(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logit in the middle of each bin, which stands for all of its pixels."""
    return (bins + 0.5) / _PER_UNIT


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
    reached = np.clip(entries[:, 0] - round(float(LEVELS[0]) * _PER_UNIT) + 1, 0, L)  # how many levels a bin reaches
    place = rows * (L + 1) + reached

    def above(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        per_bin = np.bincount(place, counts, minlength=total * (L + 1)).reshape(total, L + 1)
        return np.cumsum(per_bin[:, :0:-1], axis=1, dtype=np.float64)[:, ::-1]

    inside = above(entries[:, 2])
    return above(entries[:, 1]) + inside, inside
