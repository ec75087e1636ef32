# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radbundles.transforms.context_window import crop_fractions, window_fractions


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ([0, 0], (0, 0, 12 / 14, 12 / 14)),
        ([1, 2], (1 / 14, 2 / 14, 13 / 14, 1)),  # row first
        (torch.tensor([2, 0]), (2 / 14, 0, 1, 12 / 14)),
        (None, (1 / 14, 1 / 14, 13 / 14, 13 / 14)),
    ],
)
def test_window_is_rows_and_columns_of_the_grid(window: Any, expected: tuple[float, ...]) -> None:
    assert window_fractions(window) == pytest.approx(expected)


def test_grid_and_window_may_have_other_sizes() -> None:
    assert window_fractions([4, 0], grid=8, window_cells=4) == (0.5, 0, 1, 0.5)


@pytest.mark.parametrize("window", [[3, 0], [0, -1], [0.5, 0], [1], [1, 1, 1]])
def test_window_off_the_grid_is_refused(window: list[float]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers 0 to 2, got \["):
        window_fractions(window)  # type: ignore[arg-type]


def test_crop_worked_by_hand() -> None:
    # The right half of the image; the box covers its lower left quarter and a half beyond.
    assert crop_fractions((0.5, 0.25, 1.0, 0.75), (0.0, 0.5, 1.0, 1.0)) == (0.5, 0.0, 1.0, 0.5)
    assert crop_fractions((0.5, 0.25, 1.0, 0.75), (0.0, 0.5, 1.0, 1.0), flipped=True) == (0.5, 0.5, 1.0, 1.0)


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.2, 0.2), (0.0, 0.0, 0.5, 1.0)])
def test_box_outside_the_crop_becomes_the_whole_crop(box: tuple[float, float, float, float]) -> None:
    assert crop_fractions(box, (0.5, 0.5, 1.0, 1.0), flipped=True) == (0.0, 0.0, 1.0, 1.0)


@given(
    point=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    crop=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.6, 1), st.floats(0.6, 1)),
    window=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    flipped=st.booleans(),
)
def test_a_point_of_the_crop_is_in_the_moved_window_if_and_only_if_it_was_in_the_window(
    point: tuple[float, float], crop: tuple[float, float, float, float], window: tuple[int, int], flipped: bool
) -> None:
    y, x = point
    box = window_fractions(window)
    moved = crop_fractions(box, crop, flipped=flipped)
    source_y = crop[0] + y * (crop[2] - crop[0])
    source_x = crop[1] + (1 - x if flipped else x) * (crop[3] - crop[1])
    distance = min(abs(source_y - box[0]), abs(source_y - box[2]), abs(source_x - box[1]), abs(source_x - box[3]))
    if distance > 1e-9:
        inside = box[0] <= source_y <= box[2] and box[1] <= source_x <= box[3]
        assert inside == (moved[0] <= y <= moved[2] and moved[1] <= x <= moved[3])
