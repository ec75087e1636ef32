# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from radbundles.transforms import FittedFrame

SHAPES = [(1000, 800), (777, 1501), (3000, 400), (512, 512), (301, 299), (40, 30), (65, 130)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1024, 1024), (512, 512, 0, 0)),
        ((1000, 800), (512, 410, 0, 51)),  # 409.6 columns
        ((800, 1001), (409, 512, 51, 0)),  # 409.19 rows: 51 above, 52 below
        ((2048, 1022), (512, 256, 0, 128)),  # 255.5 is rounded to the even 256
        ((2048, 1018), (512, 254, 0, 129)),  # 254.5 to the even 254
        ((100, 50), (512, 256, 0, 128)),  # enlarged
        ((9000, 3), (512, 1, 0, 255)),  # never below one pixel
    ],
)
def test_longest_side_fills_the_square(shape: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    frame = FittedFrame(*shape, 512)
    assert (frame.rows, frame.columns, frame.top, frame.left) == expected


def rectangle(frame: FittedFrame, cells: int) -> tuple[torch.Tensor, tuple[float, float, float, float]]:
    """A map of ones on some whole cells, and where their borders lie in the original image by hand."""
    rows = (round(cells * 0.35), round(cells * 0.65))
    columns = (round(cells * 0.4), round(cells * 0.6))
    indicator = torch.zeros(cells, cells)
    indicator[rows[0] : rows[1], columns[0] : columns[1]] = 1
    cell, zoom = frame.size / cells, max(frame.height, frame.width) / frame.size
    y0, y1 = (row * cell * zoom - (max(frame.height, frame.width) - frame.height) / 2 for row in rows)
    x0, x1 = (column * cell * zoom - (max(frame.height, frame.width) - frame.width) / 2 for column in columns)
    return indicator, (x0, y0, x1, y1)


@pytest.mark.parametrize("cells", [16, 7, 37, 512])
@pytest.mark.parametrize("shape", SHAPES)
def test_rectangle_of_cells_comes_back_where_it_lies(shape: tuple[int, int], cells: int) -> None:
    frame = FittedFrame(*shape, 512)
    indicator, (x0, y0, x1, y1) = rectangle(frame, cells)
    restored = frame.to_original(indicator)
    assert restored.shape == shape
    # The border of the cells is where the interpolated map passes one half; padding is rounded to whole pixels.
    slack = 1.01 * max(shape) / 512 + 1
    rows, columns = (torch.arange(extent) + 0.5 for extent in shape)
    inside_y = (torch.minimum(rows - y0, y1 - rows))[:, None]
    inside_x = (torch.minimum(columns - x0, x1 - columns))[None]
    depth = torch.minimum(inside_y, inside_x)
    half_cell = 0.5 * max(shape) / cells
    assert (restored[depth > half_cell + slack] > 0.999).all()
    assert (restored[depth < -half_cell - slack] < 0.001).all()
    row = int((max(y0, 0) + min(y1, shape[0])) / 2)
    found = columns[restored[row] > 0.5]
    assert found.min().item() == pytest.approx(max(x0, 0), abs=slack)
    assert found.max().item() == pytest.approx(min(x1, shape[1]), abs=slack)


def test_ramp_keeps_its_values_so_centers_of_cells_lie_right() -> None:
    frame = FittedFrame(1000, 500, 512)
    centers = (torch.arange(16) + 0.5) * 32  # in pixels of the square
    restored = frame.to_original(torch.stack([centers[:, None].expand(16, 16), centers.expand(16, 16)]))
    for row, column in ((100, 100), (499, 250), (803, 401)):
        assert restored[0, row, column].item() == pytest.approx((row + 0.5) * 0.512, abs=1e-3)
        assert restored[1, row, column].item() == pytest.approx((column + 0.5) * 0.512 + 128, abs=1e-3)


def test_interpolation_is_that_of_torch_where_there_is_no_padding() -> None:
    maps = torch.rand(2, 3, 16, 16)
    expected = torch.nn.functional.interpolate(maps, (300, 300), mode="bilinear", align_corners=False)
    assert torch.allclose(FittedFrame(300, 300, 512).to_original(maps), expected, atol=1e-5)
    expected = torch.nn.functional.interpolate(maps, (5, 5), mode="bilinear", antialias=True, align_corners=False)
    assert torch.allclose(FittedFrame(5, 5, 512).to_original(maps), expected, atol=1e-5)


def test_padding_is_cut_by_fractions_of_a_cell() -> None:
    frame = FittedFrame(100, 50, 100)  # columns 25 to 75 of the square; cells of 10
    cells = torch.zeros(10, 10)
    cells[:, 2] = 1  # columns 20 to 30: its right half is on the image, up to column 5
    restored = frame.to_original(cells, "nearest")
    assert restored.sum(dim=1).tolist() == [5] * 100
    assert restored[:, :5].all()


def test_nearest_keeps_type_and_values() -> None:
    maps = torch.randint(0, 2, (2, 16, 16), dtype=torch.uint8)
    restored = FittedFrame(99, 40, 64).to_original(maps, "nearest")
    assert restored.dtype == torch.uint8
    assert restored.shape == (2, 99, 40)
    assert set(restored.unique().tolist()) <= {0, 1}


def test_half_precision_and_autocast_come_back_in_float32() -> None:
    maps = torch.rand(4, 4)
    frame = FittedFrame(33, 20, 16)
    exact = frame.to_original(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(frame.to_original(maps), exact)
    halved = frame.to_original(maps.bfloat16())
    assert halved.dtype == torch.float32
    assert torch.allclose(halved, exact, atol=0.01)
    assert frame.to_original(maps.double()).dtype == torch.float64


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_go_there_and_back(shape: tuple[int, int]) -> None:
    frame = FittedFrame(*shape, 512)
    height, width = shape
    boxes = torch.tensor([[0, 0, width, height], [0.25 * width, 0.5 * height, 0.5 * width, 0.75 * height]])
    fitted = frame.boxes_to_fitted(boxes)
    assert fitted[0].tolist() == [frame.left, frame.top, frame.left + frame.columns, frame.top + frame.rows]
    assert torch.allclose(frame.boxes_to_original(fitted), boxes, atol=1e-3 * max(shape) / 512)


def test_boxes_are_cut_at_the_border_and_points_put_on_it() -> None:
    frame = FittedFrame(1000, 500, 512)
    boxes = frame.boxes_to_original(torch.tensor([[0.0, 0, 192, 256], [0, 0, 100, 100]]))
    assert boxes.tolist() == [[0, 0, 125, 500], [0, 0, 0, pytest.approx(195.3125)]]
    points = frame.point_to_original(torch.tensor([[256.0, 256], [10, 512]]))
    assert points.tolist() == [[250, 500], [0, 1000]]
    assert frame.boxes_to_original(torch.zeros(0, 4)).shape == (0, 4)
    assert frame.boxes_to_fitted(torch.tensor([[0, 0, 500, 1000]])).tolist() == [[128, 0, 384, 512]]


def test_frame_is_read_from_meta_also_after_collation() -> None:
    frame = FittedFrame(30, 20, 16)
    assert FittedFrame.of({"fitted_frame": (30, 20, 16)}) == frame
    assert FittedFrame.of(MetaTensor(torch.zeros(1), meta={"fitted_frame": [torch.tensor(30), 20, 16]})) == frame
    with pytest.raises(ValueError, match="not fitted"):
        FittedFrame.of({})


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        FittedFrame(0, 3, 4)
    with pytest.raises(ValueError, match="'cubic'"):
        FittedFrame(3, 3, 4).to_original(torch.zeros(2, 2), "cubic")


def test_gradient_flows_to_the_maps() -> None:
    maps = torch.rand(2, 4, 4, requires_grad=True)
    FittedFrame(10, 6, 8).to_original(maps).sum().backward()
    assert maps.grad is not None
    assert np.isclose(maps.grad.sum().item(), 2 * 60)
