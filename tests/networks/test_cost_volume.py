# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks import cost_volume


def test_each_entry_is_the_cosine_of_its_cell_and_prompt() -> None:
    torch.manual_seed(0)
    cells, prompts = torch.randn(2, 5, 3, 4), torch.randn(6, 2, 5)
    costs = cost_volume(cells, prompts)
    assert costs.shape == (2, 6, 2, 3, 4)
    for b, t, c, row, column in ((0, 0, 0, 0, 0), (1, 5, 1, 2, 3), (1, 2, 0, 0, 2)):
        expected = F.cosine_similarity(cells[b, :, row, column], prompts[t, c], dim=0)
        torch.testing.assert_close(costs[b, t, c, row, column], expected)


def test_prompts_may_differ_from_image_to_image() -> None:
    torch.manual_seed(0)
    cells, prompts = torch.randn(2, 5, 3, 4), torch.randn(2, 6, 3, 5)
    alone = torch.cat([cost_volume(cells[b : b + 1], prompts[b]) for b in range(2)])
    torch.testing.assert_close(cost_volume(cells, prompts), alone)


def test_half_precision_in_and_around_does_not_reach_the_cosines() -> None:
    torch.manual_seed(0)
    cells, prompts = torch.randn(1, 64, 4, 4).bfloat16(), torch.randn(3, 2, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        costs = cost_volume(cells, prompts)
    assert costs.dtype == torch.float32 and torch.equal(costs, cost_volume(cells.float(), prompts))


def test_cells_of_zeros_have_finite_gradients() -> None:
    cells = torch.zeros(1, 4, 2, 2, requires_grad=True)
    cost_volume(cells, torch.randn(2, 3, 4)).sum().backward()
    assert cells.grad is not None and cells.grad.isfinite().all()


@pytest.mark.parametrize(
    ("cells", "prompts", "message"),
    [
        ((1, 4, 2, 2), (3, 2, 5), r"got \(1, 4, 2, 2\) and \(3, 2, 5\)"),
        ((4, 2, 2), (3, 2, 4), r"\[B, D, h, w\]"),
        ((1, 4, 2, 2), (3, 4), r"\[T, C, D\] or"),
        ((2, 4, 2, 2), (3, 6, 2, 4), "3 sets of prompts do not fit 2 images"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(cells: tuple[int, ...], prompts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cost_volume(torch.rand(cells), torch.rand(prompts))
