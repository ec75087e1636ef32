# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.losses import ContextSuperResolutionLoss


@pytest.mark.parametrize("cell", [(0, 0), (1, 2), (2, 1)])
def test_window_of_cells_covers_the_official_pixels(cell: tuple[int, int]) -> None:
    i, j = cell
    image = torch.zeros(1, 1, 448, 448)
    made = torch.full_like(image, 10.0)
    made[..., 32 * i : 32 * (i + 12), 32 * j : 32 * (j + 12)] = 1.0
    window = torch.tensor([[i / 14, j / 14, (i + 12) / 14, (j + 12) / 14]])
    assert ContextSuperResolutionLoss()(made, image, window).item() == pytest.approx(144 / 196)


def test_each_sample_has_its_own_window() -> None:
    image = torch.zeros(2, 3, 10, 20)
    made = torch.ones_like(image) * torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    window = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.1, 0.2, 0.4, 0.3]])
    # 5 x 10 pixels of 1 and 3 x 2 pixels of 4, in 2 x 200
    assert ContextSuperResolutionLoss()(made, image, window).item() == pytest.approx((50 * 1 + 6 * 4) / 400)


def test_edges_are_rounded_to_pixels() -> None:
    image = torch.zeros(1, 1, 10, 10)
    window = torch.tensor([[0.0, 0.0, 0.26, 0.24]])  # 3 rows, 2 columns
    assert ContextSuperResolutionLoss()(image + 1, image, window).item() == pytest.approx(6 / 100)


def test_pixels_outside_the_window_get_no_gradient() -> None:
    made = torch.ones(1, 1, 4, 4, requires_grad=True)
    ContextSuperResolutionLoss()(made, torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0.5, 1.0, 1.0]])).backward()
    assert made.grad is not None and not made.grad[..., :2].any() and (made.grad[..., 2:] != 0).all()


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"window \(2, 4\)"):
        ContextSuperResolutionLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(2, 4))
