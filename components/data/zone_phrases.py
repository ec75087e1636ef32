# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Phrases for zones of the lungs, with boxes cut from lung masks: grounding that no report or reader is needed for.

**Left and right are the patient's.** A frontal radiograph is shown as if the patient faced the viewer, so the left lung
lies in the right half of the picture: ``left lung`` has the larger x.

A zone is a third of its own lung's height. Readers of radiographs speak of upper, middle and lower zones in about this
sense; they are not the lobes, which overlap in a frontal view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LUNG_ZONES", "lung_zone_masks", "lung_zone_phrases", "split_lungs"]

Mask = NDArray[np.bool_]
_HEIGHTS = ("upper", "middle", "lower")

LUNG_ZONES: tuple[str, ...] = tuple(
    name for side in ("left", "right") for name in (f"{side} lung", *(f"{side} {height} lung" for height in _HEIGHTS))
)
"""The phrases: each lung as a whole and its three zones."""

# Lungs that touch at the midline may share a few rows of a column there; a lateral view or a single blob shares most.
_MOST_SHARED = 0.1


def lung_zone_phrases(left_mask: ArrayLike, right_mask: ArrayLike) -> list[dict[str, Any]]:
    """Phrases as a datalist item has them: ``{"text": "left upper lung", "boxes": [[x0, y0, x1, y1]]}``.

    Args:
        left_mask: [H, W], nonzero in the patient's left lung, which lies on the right of the picture.
        right_mask: [H, W], nonzero in the patient's right lung.

    Returns:
        One phrase for each of :data:`LUNG_ZONES`, in that order; the box is the smallest around the zone, in pixels,
        x1 and y1 exclusive. A zone that a mask with gaps leaves empty has no phrase.

    Raises:
        ValueError: see :func:`lung_zone_masks`.
    """
    zones = lung_zone_masks(left_mask, right_mask)
    return [{"text": name, "boxes": [_box(zone)]} for name, zone in zones.items() if zone.any()]


def lung_zone_masks(left_mask: ArrayLike, right_mask: ArrayLike) -> dict[str, Mask]:
    """Masks of the zones: the same as the phrases, to the pixel.

    Args:
        left_mask: [H, W], nonzero in the patient's left lung, which lies on the right of the picture.
        right_mask: [H, W], nonzero in the patient's right lung.

    Returns:
        For each of :data:`LUNG_ZONES` a bool array [H, W]. The three zones of a lung are disjoint and make it up.

    Raises:
        ValueError: the masks differ in shape, one is empty, or they are exchanged (the left lung lies left of the right
            one in the picture).
    """
    left, right = (np.asarray(mask) != 0 for mask in (left_mask, right_mask))
    if left.ndim != 2 or left.shape != right.shape:
        raise ValueError(f"the masks must both be [H, W], got {list(left.shape)} and {list(right.shape)}")
    for side, mask in (("left", left), ("right", right)):
        if not mask.any():
            raise ValueError(f"the mask of the {side} lung is empty")
    if _center(left) <= _center(right):
        raise ValueError(
            "the left lung lies left of the right lung in the picture: the masks are exchanged, or the picture is "
            "mirrored or seen from behind; in a frontal radiograph the patient's left is on the right"
        )
    zones: dict[str, Mask] = {}
    for side, lung in (("left", left), ("right", right)):
        zones[f"{side} lung"] = lung
        _, top, _, bottom = _box(lung)
        edges = [top + (bottom - top) * third // 3 for third in range(4)]
        for height, start, stop in zip(_HEIGHTS, edges[:-1], edges[1:], strict=True):
            zone = np.zeros_like(lung)
            zone[start:stop] = lung[start:stop]
            zones[f"{side} {height} lung"] = zone
    return zones


def split_lungs(mask: ArrayLike) -> tuple[Mask, Mask]:
    """Part a mask of both lungs at the thinnest column between them.

    Args:
        mask: [H, W] of a frontal radiograph, nonzero in either lung.

    Returns:
        The patient's left lung (right in the picture) and right lung.

    Raises:
        ValueError: the mask is empty, or no thin column parts it into two: a single lung, lungs that are joined, or no
            frontal view.
    """
    lungs = np.asarray(mask) != 0
    if lungs.ndim != 2 or not lungs.any():
        raise ValueError(f"the mask of the lungs must be [H, W] and not empty, got shape {list(lungs.shape)}")
    columns = lungs.sum(0)
    middle = round(_center(lungs))
    sides = [_center(part) for part in (lungs[:, :middle], lungs[:, middle:]) if part.any()]
    if len(sides) == 2:
        start, stop = round(sides[0]), middle + round(sides[1]) + 1
        between = columns[start:stop]
        thinnest = np.flatnonzero(between == between.min())
        if between.min() <= _MOST_SHARED * columns.max():
            cut = start + int(thinnest[len(thinnest) // 2])
            left, right = lungs.copy(), lungs.copy()
            left[:, :cut] = False
            right[:, cut:] = False
            return left, right
    raise ValueError("the mask does not part into two lungs: one lung, joined lungs, or no frontal view")


def _center(mask: Mask) -> float:
    """Mean column of the pixels inside."""
    columns = mask.sum(0)
    return float(columns @ np.arange(len(columns)) / columns.sum())


def _box(mask: Mask) -> list[int]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
