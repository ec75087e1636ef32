# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from radbundles.components.inference.sample_content import sample_content
from radbundles.components.zero_shot import BoxRule
from radbundles.components.zero_shot.locate import locate
from radbundles.transforms import FittedFrame


def blocks(*places: tuple[int, int, int, int, float], side: int = 64) -> torch.Tensor:
    """A map of zeros with blocks (top, left, bottom, right, value)."""
    maps = torch.zeros(1, side, side)
    for top, left, bottom, right, value in places:
        maps[0, top:bottom, left:right] = value
    return maps


SQUARE = FittedFrame(64, 64, 64)
RULE = BoxRule(level=0.5, grid=64, min_area=0.0)


def test_a_block_is_boxed_exactly_with_its_value() -> None:
    [place] = locate(blocks((8, 20, 16, 40, 0.6)), SQUARE, RULE)
    assert place.boxes.tolist() == [[20, 8, 40, 16]]
    assert place.scores.tolist() == pytest.approx([0.6])
    assert place.peak == pytest.approx(0.6) and place.threshold == pytest.approx(0.3)
    assert 20 <= place.point[0] < 40 and 8 <= place.point[1] < 16


def test_boxes_come_by_falling_score_and_low_ones_not_at_all() -> None:
    maps = blocks((0, 0, 8, 8, 0.7), (30, 30, 38, 38, 0.9), (50, 0, 58, 8, 0.4))
    [place] = locate(maps, SQUARE, RULE)
    assert place.boxes.tolist() == [[30, 30, 38, 38], [0, 0, 8, 8]]
    assert place.scores.tolist() == pytest.approx([0.9, 0.7])


def test_components_reach_over_corners() -> None:
    [place] = locate(blocks((8, 8, 16, 16, 1.0), (16, 16, 24, 24, 1.0)), SQUARE, RULE)
    assert place.boxes.tolist() == [[8, 8, 24, 24]]


def test_components_do_not_reach_from_one_map_into_the_next() -> None:
    maps = torch.cat([blocks((0, 0, 32, 32, 1.0)), blocks((16, 16, 48, 48, 1.0)), blocks()])
    boxes = [place.boxes.tolist() for place in locate(maps, SQUARE, RULE)]
    assert boxes == [[[0, 0, 32, 32]], [[16, 16, 48, 48]], []]


def test_specks_are_dropped() -> None:
    maps = blocks((0, 0, 4, 4, 1.0), (20, 20, 52, 52, 0.8))  # 16 and 1024 of 4096
    [place] = locate(maps, SQUARE, BoxRule(level=0.5, grid=64, min_area=0.01))
    assert place.boxes.tolist() == [[20, 20, 52, 52]]


def test_a_map_below_the_floor_has_no_box_but_a_point() -> None:
    [place] = locate(blocks((0, 0, 8, 8, 0.2)), SQUARE, BoxRule(level=0.5, floor=0.3, grid=64))
    assert place.boxes.shape == (0, 4) and place.scores.shape == (0,)
    assert place.threshold == pytest.approx(0.3) and place.point[0] < 8


def test_a_flat_map_has_no_box() -> None:
    [place] = locate(torch.full((1, 8, 8), 0.5), SQUARE, BoxRule())
    assert len(place.boxes) == 0


def test_no_map_is_no_place() -> None:
    assert locate(torch.zeros(0, 8, 8), SQUARE, BoxRule()) == []


@pytest.mark.parametrize(("height", "width"), [(300, 1200), (1200, 300), (701, 333)])
def test_boxes_of_a_padded_image_are_those_of_its_frame(height: int, width: int) -> None:
    frame = FittedFrame(height, width, 64)
    # A block over the right third of the content, in the square.
    left = frame.left + round(frame.columns * 2 / 3)
    maps = blocks((0, left, 64, 64, 1.0))
    [place] = locate(maps, frame, BoxRule(level=0.5, grid=256))
    expected = frame.boxes_to_original(torch.tensor([[left, 0, 64, 64]], dtype=torch.float32))[0]
    # One sample of the grid either way.
    assert np.abs(place.boxes[0] - expected.numpy()).max() <= max(height, width) / 256 + 1


def test_padding_takes_no_part() -> None:
    frame = FittedFrame(32, 64, 64)  # content in rows 16 to 48
    maps = blocks((0, 0, 16, 64, 9.0), (20, 0, 30, 10, 1.0))
    [place] = locate(maps, frame, RULE)
    assert place.peak <= 9.0 / 2  # the border of the content touches the padding's cells, as interpolation does
    inside = locate(blocks((0, 0, 8, 64, 9.0), (20, 0, 30, 10, 1.0)), frame, RULE)[0]
    assert inside.peak == pytest.approx(1.0)
    assert inside.boxes[0].tolist() == pytest.approx([0, 4, 10, 14], abs=1)


def test_samples_are_those_of_the_map_in_original_pixels() -> None:
    torch.manual_seed(0)
    maps = torch.randn(3, 16, 16)
    frame = FittedFrame(96, 128, 512)
    side = 96
    expected = frame.to_original(maps)
    sampled = sample_content(maps, FittedFrame(96, 96, 512), side)
    torch.testing.assert_close(sampled, FittedFrame(96, 96, 512).to_original(maps), atol=1e-5, rtol=0)
    rows = sample_content(maps, frame, 384)[:, 1::4, 1::3]  # every sample near a pixel's center
    assert (rows - expected).abs().max() < 0.15


@pytest.mark.parametrize("values", [{"level": 1.5}, {"min_area": -0.1}, {"grid": 0}])
def test_rules_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="level and min_area must lie"):
        BoxRule(**values)  # type: ignore[arg-type]
