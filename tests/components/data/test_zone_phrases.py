# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lung zones: the patient's left is on the right of the picture, and thirds make up the lung."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from radbundles.components.data import LUNG_ZONES, lung_zone_masks, lung_zone_phrases, split_lungs

Mask = NDArray[np.bool_]


def lungs() -> tuple[Mask, Mask]:
    """Left lung: columns 60 to 90, rows 12 to 72. Right lung: columns 10 to 40, rows 21 to 81."""
    left, right = np.zeros((2, 100, 100), dtype=bool)
    left[12:72, 60:90] = True
    right[21:81, 10:40] = True
    return left, right


def test_boxes_worked_by_hand() -> None:
    found = {phrase["text"]: phrase["boxes"] for phrase in lung_zone_phrases(*lungs())}
    assert found == {
        "left lung": [[60, 12, 90, 72]],
        "left upper lung": [[60, 12, 90, 32]],
        "left middle lung": [[60, 32, 90, 52]],
        "left lower lung": [[60, 52, 90, 72]],
        "right lung": [[10, 21, 40, 81]],
        "right upper lung": [[10, 21, 40, 41]],
        "right middle lung": [[10, 41, 40, 61]],
        "right lower lung": [[10, 61, 40, 81]],
    }
    assert tuple(found) == LUNG_ZONES


def test_zones_of_a_lung_make_it_up_without_overlap() -> None:
    rows, columns = np.mgrid[:101, :100]
    left = (rows - 47) ** 2 / 40**2 + (columns - 75) ** 2 / 18**2 < 1
    right = (rows - 52) ** 2 / 43**2 + (columns - 25) ** 2 / 20**2 < 1
    zones = lung_zone_masks(left, right)
    for side, lung in (("left", left), ("right", right)):
        parts = np.stack([zones[f"{side} {height} lung"] for height in ("upper", "middle", "lower")])
        assert (parts.sum(0) == lung).all()
        heights = parts.any(2).sum(1)
        assert heights.max() - heights.min() <= 1


def test_joined_mask_parts_at_the_gap_whatever_the_pieces() -> None:
    left, right = lungs()
    right[85:88, 20:30] = True  # a lung in two pieces
    for found, expected in zip(split_lungs(left | right), (left, right), strict=True):
        assert (found == expected).all()


def test_lungs_that_touch_in_a_few_rows_are_parted_there() -> None:
    left, right = lungs()
    bridge = np.zeros_like(left)
    bridge[40:44, 40:60] = True
    found_left, found_right = split_lungs(left | right | bridge)
    assert (found_left | found_right == (left | right | bridge)).all()
    assert not (found_left & right).any() and not (found_right & left).any()


@pytest.mark.parametrize("rows", [slice(0, 0), slice(20, 80)])
def test_what_is_not_two_lungs_is_refused(rows: slice) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[rows, 30:70] = True
    with pytest.raises(ValueError, match="empty" if rows.stop == 0 else "does not part into two lungs"):
        split_lungs(mask)


def test_exchanged_masks_are_refused() -> None:
    left, right = lungs()
    with pytest.raises(ValueError, match="exchanged"):
        lung_zone_phrases(right, left)


def test_wrong_masks_are_refused() -> None:
    left, right = lungs()
    with pytest.raises(ValueError, match="right lung is empty"):
        lung_zone_masks(left, right & False)
    with pytest.raises(ValueError, match=r"\[100, 100\] and \[100, 99\]"):
        lung_zone_masks(left, right[:, 1:])


def test_zone_that_a_gap_leaves_empty_has_no_phrase() -> None:
    left, right = lungs()
    left[32:52] = False
    texts = [phrase["text"] for phrase in lung_zone_phrases(left, right)]
    assert texts == [name for name in LUNG_ZONES if name != "left middle lung"]
