# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How far the borders of two masks lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["hausdorff_distance"]


def hausdorff_distance(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    percentile: float = 95.0,
    spacing: Sequence[float] = (1.0, 1.0),
) -> float:
    """Percentile of the distances from each border to the other, the larger of the two directions.

    The value of ``monai.metrics.HausdorffDistanceMetric``. Both borders become trees of points, where MONAI measures
    the distance of every pixel around them: a film has millions of pixels, and thousands on a border.

    Args:
        first: mask [H, W].
        second: likewise.
        percentile: 100 is the Hausdorff distance proper.
        spacing: height and width of a pixel; the distance is in that unit.

    Returns:
        The distance; nan if either mask is empty, where no distance is defined.

    Raises:
        ValueError: masks of other or differing shapes, a percentile or a spacing out of range.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"masks must be [H, W] of one size, got {list(first.shape)} and {list(second.shape)}")
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be above 0 and at most 100, got {percentile}")
    if len(spacing) != 2 or not min(spacing) > 0:
        raise ValueError(f"spacing must be two numbers above 0, got {list(spacing)}")
    borders = [_border(mask) * np.asarray(spacing) for mask in (first, second)]
    if not all(map(len, borders)):
        return float("nan")
    trees = [cKDTree(border) for border in borders]
    nearest = (trees[1].query(borders[0])[0], trees[0].query(borders[1])[0])
    return float(max(np.percentile(distances, percentile) for distances in nearest))


def _border(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pixels [n, 2] (row, column) of a mask with one of their four neighbors outside of it or of the image."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.empty((0, 2), np.intp)
    top, left = rows[0], columns[0]
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    core = padded[1:-1, 1:-1]
    deep = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(core & ~deep) + (top, left)
