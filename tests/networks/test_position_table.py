# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from radbundles.networks import resize_position_table, sincos_position_table


def reference(dim: int, rows: int, columns: int, exponent: float) -> torch.Tensor:
    """Cell by cell, in the words of the papers."""
    table = [[0.0] * dim]
    for y in range(rows):
        for x in range(columns):
            angles = [[axis * 10000 ** -(k * exponent) for k in range(dim // 4)] for axis in (x, y)]
            table.append([f(a) for axis in angles for f in (math.sin, math.cos) for a in axis])
    return torch.tensor(table, dtype=torch.float64)


@pytest.mark.parametrize(("formula", "exponent"), [("mae", 1 / 4), ("official", 1 / 16)])
def test_table_equals_the_formula_cell_by_cell(formula: str, exponent: float) -> None:
    table = sincos_position_table(16, (3, 5), formula=formula)  # type: ignore[arg-type]
    torch.testing.assert_close(table[0].double(), reference(16, 3, 5, exponent), atol=1e-6, rtol=0)


def test_frequencies_reach_from_one_to_a_tenth_by_the_official_slip() -> None:
    # Column 1 of the first row: sin(w) for each frequency w.
    sines = sincos_position_table(768, (1, 2), formula="official")[0, 2, :192]
    assert math.asin(sines[0]) == pytest.approx(1.0, abs=1e-6)
    assert math.asin(sines[-1]) == pytest.approx(0.1, rel=0.02)


def test_class_token_can_be_left_out() -> None:
    with_token, without = sincos_position_table(8, (2, 2)), sincos_position_table(8, (2, 2), class_token=False)
    assert torch.equal(with_token[:, 1:], without) and not with_token[:, 0].any()


@pytest.mark.parametrize(("dim", "formula"), [(10, "mae"), (8, "paper")])
def test_wrong_arguments_are_named(dim: int, formula: str) -> None:
    with pytest.raises(ValueError, match=f"{dim}|{formula}"):
        sincos_position_table(dim, (2, 2), formula=formula)  # type: ignore[arg-type]


def test_resizing_keeps_class_token_and_linear_ramps() -> None:
    ramp = torch.arange(8.0)
    table = torch.stack([ramp.repeat_interleave(8), ramp.repeat(8)], dim=1)  # row, column of each cell
    table = torch.cat([torch.tensor([[-7.0, -9.0]]), table])[None]
    resized = resize_position_table(table, (16, 8))
    assert resized.shape == (1, 1 + 128, 2)
    assert resized[0, 0].tolist() == [-7.0, -9.0]
    grid = resized[0, 1:].reshape(16, 8, 2)
    # Cell centers of the doubled axis lie a quarter of a cell beside the old ones; the border rows lack neighbors.
    expected = (torch.arange(16.0) + 0.5) / 2 - 0.5
    # The cubic kernel bends a ramp by up to 0.047.
    torch.testing.assert_close(grid[4:-4, 3, 0], expected[4:-4], atol=0.05, rtol=0)
    torch.testing.assert_close(grid[7, :, 1], ramp)


def test_resizing_to_the_same_grid_changes_nothing() -> None:
    table = sincos_position_table(8, (4, 4))
    assert torch.equal(resize_position_table(table, (4, 4)), table)


def test_table_that_is_no_square_is_refused() -> None:
    with pytest.raises(ValueError, match="11 cells"):
        resize_position_table(torch.zeros(1, 12, 8), (4, 4))
