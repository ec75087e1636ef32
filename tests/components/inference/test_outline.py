# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Outlines enclose what the map in original pixels reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline

from radbundles.components.inference.outline import outline
from radbundles.components.zero_shot.similarity import smooth_maps
from radbundles.transforms import FittedFrame

LEVEL = 0.02


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize(("height", "width"), [(700, 700), (1100, 500), (90, 160)])
def test_what_lies_inside_is_at_or_above_the_level(side: int, height: int, width: int) -> None:
    torch.manual_seed(side + height)
    cells = smooth_maps(torch.randn(side, side), side / 24)
    middle = side // 2
    cells[middle - 6 : middle + 6, middle - 6 : middle + 6] = 0.3
    cells[middle - 3 : middle + 3, middle - 3 : middle + 3] = -0.3  # a hole
    frame = FittedFrame(height, width, 256)
    above = (frame.to_original(cells) >= LEVEL).numpy()
    polygons = outline(cells, frame, LEVEL)
    rows, columns = np.random.RandomState(0).randint(0, (height, width), (4000, 2)).T
    centers = np.stack([columns, rows], axis=1) + 0.5
    inside = np.zeros(len(centers), dtype=int)
    for polygon in polygons:
        inside += Outline(polygon.exterior).contains_points(centers)
        for hole in polygon.holes:
            inside -= Outline(hole).contains_points(centers)
    assert inside.min() == 0 and inside.max() == 1 and 0.1 < inside.mean() < 0.9
    assert (inside != above[rows, columns]).mean() < 0.01
    assert any(polygon.holes for polygon in polygons)
    assert sum(len(polygon.exterior) for polygon in polygons) < 12 * side * len(polygons)


def test_a_square_with_a_hole() -> None:
    cells = torch.zeros(16, 16)
    cells[2:14, 2:14] = 1
    cells[6:10, 6:10] = 0
    [polygon] = outline(cells, FittedFrame(320, 320, 64), 0.5)
    # The level lies halfway between centers of cells, which is where cells of 20 pixels meet.
    assert polygon.exterior.min(0).tolist() == [40, 40] and polygon.exterior.max(0).tolist() == [280, 280]
    [hole] = polygon.holes
    np.testing.assert_allclose([hole.min(0), hole.max(0)], [[120, 120], [200, 200]])
    assert len(polygon.exterior) <= 12 and not np.array_equal(polygon.exterior[0], polygon.exterior[-1])


def test_an_outline_ends_at_the_border_of_the_image_and_not_of_the_square() -> None:
    frame = FittedFrame(100, 300, 96)  # content in rows 32 to 64
    [polygon] = outline(torch.ones(10, 10), frame, 0.5)
    np.testing.assert_allclose(np.sort(polygon.exterior, axis=0), [[0, 0], [0, 0], [300, 100], [300, 100]], atol=1e-9)
    assert polygon.holes == ()


def test_regions_are_apart_and_nothing_has_no_outline() -> None:
    cells = torch.zeros(16, 16)
    cells[1:5, 1:5] = cells[9:15, 9:15] = 1
    assert len(outline(cells, FittedFrame(64, 64, 64), 0.5)) == 2
    assert outline(cells, FittedFrame(64, 64, 64), 1.5) == []
    assert outline(cells, FittedFrame(64, 64, 64), np.inf) == []
    assert outline(torch.full((4, 4), torch.nan), FittedFrame(64, 64, 64), 0.5) == []
