# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import torch

from radbundles.transforms import crops_to_original
from radbundles.transforms.warp_radiograph import reach, warp


def test_upright_part_is_resized_as_torch_does() -> None:
    image = torch.rand(2, 40, 60)
    enlarged = warp(image, np.array([[60.0, 0, 0], [0, 40, 0]]), (100, 90))
    expected = torch.nn.functional.interpolate(image[None], (100, 90), mode="bilinear", align_corners=False)[0]
    assert torch.allclose(enlarged[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1e-5)
    cut = warp(image, np.array([[20.0, 0, 10], [0, 10, 5]]), (10, 20))
    assert torch.allclose(cut, image[:, 5:15, 10:30], atol=1e-5)


def test_rotated_ramp_shows_the_value_of_each_place() -> None:
    rows, columns = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(100) + 0.5, indexing="ij")
    cos, sin = 30 * math.cos(0.4), 30 * math.sin(0.4)
    matrix = np.array([[cos, -sin, 45], [sin, cos, 20]])
    shown = warp(torch.stack([columns, rows]).float(), matrix, (25, 50))
    for row, column in ((0, 0), (24, 49), (3, 40)):
        place = matrix @ [(column + 0.5) / 50, (row + 0.5) / 25, 1]
        assert np.allclose(shown[:, row, column].numpy(), place, atol=1e-3)


def test_shrinking_averages_what_a_pixel_covers() -> None:
    stripes = torch.zeros(1, 60, 60)
    stripes[..., ::2] = 1
    shrunk = warp(stripes, np.array([[60.0, 0, 0], [0, 60, 0]]), (30, 15))
    assert (shrunk[..., 1:-1, 1:-1] - 0.5).abs().max() < 1e-4


def test_zero_lies_outside_of_the_image_and_an_empty_one_is_zero() -> None:
    shown = warp(torch.ones(1, 10, 10), np.array([[20.0, 0, -5], [0, 20, -5]]), (20, 20))
    assert shown[0, 5:15, 5:15].min() > 0.99
    assert shown.sum() == 100
    assert warp(torch.ones(3, 0, 4), np.eye(3)[:2], (5, 6)).shape == (3, 5, 6)


def test_reach_holds_all_that_is_read() -> None:
    image = torch.rand(1, 50, 70)
    for angle in (0.0, 0.3, 2.0):
        cos, sin = 21.5 * math.cos(angle), 21.5 * math.sin(angle)
        matrix = np.array([[cos, -sin, 31.2], [sin, cos, 17.7]])
        rows, columns = reach(matrix, 50, 70)
        assert (rows.stop - rows.start) * (columns.stop - columns.start) < 2000
        moved = matrix - [[0, 0, columns.start], [0, 0, rows.start]]
        assert torch.allclose(warp(image[:, rows, columns], moved, (20, 20)), warp(image, matrix, (20, 20)), atol=1e-4)
    rows, columns = reach(np.array([[5.0, 0, 100], [0, 5, 3]]), 50, 70)
    assert columns.start == columns.stop == 70


def test_map_of_a_crop_comes_back_to_the_places_it_shows() -> None:
    rows, columns = torch.meshgrid(torch.arange(90) + 0.5, torch.arange(120) + 0.5, indexing="ij")
    image = torch.stack([(columns / 120), (rows / 90)])
    cos, sin = 60 * math.cos(0.2), 60 * math.sin(0.2)
    matrix = np.array([[cos, -sin, 40], [sin, cos, 12]])
    maps = warp(image, matrix, (16, 16))
    crops = torch.from_numpy(np.stack([matrix, matrix]))
    restored = crops_to_original(maps, crops, (90, 120))
    inside = crops_to_original(torch.ones(2, 1, 1), crops, (90, 120))[0] > 0
    assert abs(inside.sum().item() - 60 * 60) < 60
    core = crops_to_original(torch.nn.functional.pad(torch.ones(2, 14, 14), (1, 1, 1, 1)), crops, (90, 120))[0] > 0.999
    assert core.sum() > 2300
    assert (restored - image)[:, core].abs().max() < 1e-3
    assert restored[:, ~inside].eq(0).all()
