# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Polygons around what a map reaches, with sub-pixel vertices in the original image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

from radbundles.transforms import FittedFrame

Ring = NDArray[np.float64]
# Of each region, the vertices of all rings, and where each ring begins and the last one ends.
_OuterOffset = tuple[list[Ring], list[NDArray[np.uint32]]]
# Lines between neighboring centers of cells cut a round corner; half-way samples leave an eighth of a cell at most.
_STEPS = 2
_SAME = 1e-6  # pixels


class Polygon(NamedTuple):
    """One connected region, in pixels of the original image: x to the right, y down, pixel 0 reaches from 0 to 1.

    Rings are closed: the last vertex [n, 2] joins the first, and does not repeat it.
    """

    exterior: Ring
    holes: tuple[Ring, ...]


def outline(cells: torch.Tensor, frame: FittedFrame, level: float) -> list[Polygon]:
    """Outline where a map, interpolated between the centers of its cells, is at or above a level.

    Contours are drawn on the grid of the map and not on the pixels of the image: there is no more in it than that, so
    that neither work nor vertices grow with the image. Regions end at the image's border.

    Args:
        cells: map [h, w] over the fitted square; logits give the outline of their sigmoid at its level.
        frame: how the image lies in the square.
        level: in the values of the map.

    Returns:
        Polygons, any number.
    """
    values: NDArray[np.float64] = cells.double().cpu().numpy()
    down = _knots(values.shape[0], frame.top / frame.size, (frame.top + frame.rows) / frame.size)
    across = _knots(values.shape[1], frame.left / frame.size, (frame.left + frame.columns) / frame.size)
    values = _interpolate(_interpolate(values, down).T, across).T  # [len(down), len(across)]
    if not values.max() >= level:
        return []
    drawn = contour_generator(
        x=(across * frame.size - frame.left) * (frame.width / frame.columns),
        y=(down * frame.size - frame.top) * (frame.height / frame.rows),
        z=values,
        fill_type=FillType.OuterOffset,
    )
    points, offsets = cast(_OuterOffset, drawn.filled(level, float(values.max()) + 1))
    polygons = []
    for vertices, ends in zip(points, offsets, strict=True):
        rings = [_cleaned(vertices[start : stop - 1]) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
        if len(rings[0]) > 2:
            polygons.append(Polygon(rings[0], tuple(ring for ring in rings[1:] if len(ring) > 2)))
    return polygons


def polygon_entries(polygons: Sequence[Polygon]) -> list[dict[str, Any]]:
    """Polygons as JSON values, to a tenth of a pixel."""
    return [
        {"exterior": one.exterior.round(1).tolist(), "holes": [hole.round(1).tolist() for hole in one.holes]}
        for one in polygons
    ]


def _knots(cells: int, start: float, stop: float) -> Ring:
    """Where to sample a side, in parts of the square: its ends, and the centers of cells and points between them."""
    inside = (np.arange(_STEPS * cells - _STEPS + 1) / _STEPS + 0.5) / cells
    return np.concatenate([[start], inside[(inside > start) & (inside < stop)], [stop]])


def _interpolate(values: Ring, places: Ring) -> Ring:
    """Sample the first axis at places in parts of it, linear between the centers of cells and flat beyond them."""
    position = (places * len(values) - 0.5).clip(0, len(values) - 1)
    below = position.astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    share = (position - below)[:, None]
    sampled: Ring = values[below] * (1 - share) + values[above] * share
    return sampled


def _cleaned(ring: Ring) -> Ring:
    """Leave out vertices that repeat the one before them, and those on the straight line between their neighbors."""
    ring = ring[np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1) > _SAME]
    to, on = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turn = np.abs(to[:, 0] * on[:, 1] - to[:, 1] * on[:, 0])
    return ring[turn > _SAME]
