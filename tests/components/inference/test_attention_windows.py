# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.components.inference import context_windows, entity_attention, entity_heat_map


def attention(*cells: tuple[int, int, int, int]) -> torch.Tensor:
    """All attention of a (sample, token) on a (row, column), in both heads; even elsewhere."""
    maps = torch.full((2, 2, 3, 14, 14), 1 / 196)
    for sample, token, row, column in cells:
        maps[sample, :, token] = 0.0
        maps[sample, :, token, row, column] = 1.0
    return maps


def entities(*tokens: tuple[int, int]) -> torch.Tensor:
    entity = torch.zeros(2, 3, dtype=torch.bool)
    for sample, token in tokens:
        entity[sample, token] = True
    return entity


def test_only_entity_tokens_count_and_each_alike() -> None:
    maps = entity_attention(attention((0, 0, 1, 1), (0, 1, 5, 5), (0, 2, 9, 9)), entities((0, 0), (0, 2)))
    assert maps[0, 1, 1] == pytest.approx(0.5) and maps[0, 9, 9] == pytest.approx(0.5) and maps[0, 5, 5] == 0
    assert not maps[1].any()


def test_heads_are_averaged() -> None:
    maps = attention((0, 0, 1, 1))
    maps[0, 1, 0] = 0.0
    maps[0, 1, 0, 2, 2] = 1.0
    averaged = entity_attention(maps, entities((0, 0)))[0]
    assert averaged[1, 1] == averaged[2, 2] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cells", "window"),
    [
        (((0, 0), (11, 11)), [0, 0]),
        (((13, 13), (2, 2)), [2, 2]),
        (((0, 13), (6, 6)), [0, 2]),
        (((12, 1), (1, 12)), [1, 1]),
    ],
)
def test_window_covers_the_attention(cells: tuple[tuple[int, int], ...], window: list[int]) -> None:
    places = [(1, token, *cell) for token, cell in enumerate(cells)]
    found = context_windows(attention(*places), entities((1, 0), (1, 1)))
    assert found[1].tolist() == window


def test_window_has_the_largest_sum_of_all_nine() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(20, 2, 3, 14, 14, generator=generator)
    entity = torch.ones(20, 3, dtype=torch.bool)
    found = context_windows(maps, entity)
    for sample, mean in enumerate(maps.mean(dim=(1, 2))):
        sums = {(i, j): float(mean[i : i + 12, j : j + 12].sum()) for i in range(3) for j in range(3)}
        assert tuple(found[sample].tolist()) == max(sums, key=lambda place: sums[place])


def test_report_without_entity_gets_the_middle() -> None:
    assert context_windows(attention((0, 0, 0, 0), (1, 0, 0, 0)), entities((0, 0))).tolist() == [[0, 0], [1, 1]]


def test_window_larger_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="15 cells does not fit a grid of 14 x 14"):
        context_windows(attention(), entities(), cells=15)


@pytest.mark.parametrize("size", [4, 7, 8, 14, 28])
def test_attention_of_other_patches_is_spread_by_area(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    maps = torch.rand(20, 2, 3, size, size, generator=generator) ** 8
    entity = torch.ones(20, 3, dtype=torch.bool)
    found = context_windows(maps, entity, grid=14)
    for sample, mean in enumerate(maps.mean(dim=(1, 2))):
        # As many small cells as both grids can be cut into, so that windows and patches have common edges.
        small = torch.kron(mean, torch.ones(56 // size, 56 // size))
        sums = {
            (i, j): float(small[4 * i : 4 * (i + 12), 4 * j : 4 * (j + 12)].sum()) for i in range(3) for j in range(3)
        }
        assert tuple(found[sample].tolist()) == max(sums, key=lambda place: sums[place])
    assert len(found.unique(dim=0)) > 3


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        entity_attention(attention(), torch.zeros(2, 4, dtype=torch.bool))


def test_heat_map_runs_from_zero_to_one_at_the_right_place() -> None:
    heat = entity_heat_map(attention((0, 0, 3, 10)), entities((0, 0)), size=(280, 140))
    assert heat.grid.shape == (2, 14, 14) and heat.image.shape == (2, 280, 140)
    assert heat.grid[0].min() == 0 and heat.grid[0].max() == heat.grid[0, 3, 10] == 1
    row, column = divmod(int(heat.image[0].argmax()), 140)
    assert 60 <= row < 80 and 100 <= column < 110
    assert 0 <= heat.image.min() and heat.image.max() <= 1


def test_heat_map_without_entity_is_zero() -> None:
    heat = entity_heat_map(attention(), entities((0, 0)), size=(28, 28))
    assert not heat.grid[1].any() and not heat.image[1].any()
