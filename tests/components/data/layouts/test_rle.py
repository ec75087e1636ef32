# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Run lengths are drawn column by column, from the end of the last run."""

from __future__ import annotations

import numpy as np
import pytest

from radbundles.components.data.layouts.rle import decode_relative_rle


def encode(mask: np.ndarray) -> str:
    """Run lengths pixel by pixel, as the challenge describes them."""
    words, gap, run = [], 0, 0
    for inside in mask.T.ravel():
        if inside:
            run += 1
            continue
        if run:
            words += [gap, run]
            gap = run = 0
        gap += 1
    return " ".join(map(str, words + ([gap, run] if run else [])))


def test_worked_example() -> None:
    mask = decode_relative_rle("1 2 3 1", 3, 4)
    assert mask.astype(int).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_any_mask_comes_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((13, 7)) < (seed + 1) / 5
    assert (decode_relative_rle(encode(mask), 13, 7) == mask).all()


def test_runs_that_touch_or_have_no_length() -> None:
    assert decode_relative_rle("0 2 0 1 1 0", 2, 2).tolist() == [[True, True], [True, False]]
    assert decode_relative_rle("0 4", 2, 2).all()
    assert not decode_relative_rle("-1", 2, 2).any()


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "a b", "-1 2", "1.5 2", "1 -2"])
def test_no_pairs_of_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="pairs of whole numbers"):
        decode_relative_rle(text, 2, 2)


def test_more_pixels_than_the_mask_has() -> None:
    with pytest.raises(ValueError, match="reach pixel 5 of 2 x 2"):
        decode_relative_rle("3 2", 2, 2)
