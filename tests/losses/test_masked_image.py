# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.losses import MaskedImageLoss


def test_only_hidden_patches_count_over_all_pixels() -> None:
    target = torch.zeros(1, 1, 4, 4)
    reconstruction = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)[None, None]
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0]])  # patches of 2 and 3
    loss = MaskedImageLoss(patch_size=2)(reconstruction, target, mask)
    assert loss.item() == pytest.approx((4 * 4 + 4 * 9) / 16)


def test_three_quarters_hidden_give_three_quarters_of_the_masked_mean() -> None:
    torch.manual_seed(0)
    target, reconstruction = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    mask = torch.tensor([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]])
    pixels = mask.reshape(2, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3).bool().expand_as(target)
    expected = 0.75 * (target - reconstruction)[pixels].square().mean()
    torch.testing.assert_close(MaskedImageLoss(patch_size=4)(reconstruction, target, mask), expected)


def test_visible_patches_get_no_gradient() -> None:
    reconstruction = torch.ones(1, 1, 2, 4, requires_grad=True)
    MaskedImageLoss(patch_size=2)(reconstruction, torch.zeros(1, 1, 2, 4), torch.tensor([[1.0, 0.0]])).backward()
    assert reconstruction.grad is not None
    assert (reconstruction.grad[..., :2] != 0).all() and not reconstruction.grad[..., 2:].any()


def test_normalized_target_has_no_scale_of_its_own() -> None:
    torch.manual_seed(0)
    loss, target, mask = MaskedImageLoss(patch_size=4, norm_pix=True), torch.randn(1, 3, 4, 8), torch.ones(1, 2)
    assert loss(torch.zeros(1, 3, 4, 8), target, mask).item() == pytest.approx(47 / 48, rel=1e-4)
    normalized = torch.cat([(part - part.mean()) / part.std() for part in target.split(4, dim=3)], dim=3)
    assert loss(normalized, 5 * target + 2, mask).item() == pytest.approx(0, abs=1e-8)


def test_half_precision_is_scored_in_float32() -> None:
    reconstruction = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)  # its square overflows float16
    loss = MaskedImageLoss(patch_size=2)(reconstruction, torch.zeros(1, 1, 2, 2), torch.ones(1, 1))
    assert loss.item() == 90000.0


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"mask \(1, 5\) with patches of 2 pixels"):
        MaskedImageLoss(patch_size=2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))
