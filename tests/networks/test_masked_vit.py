# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import MaskedViTEncoder, random_patch_mask


@pytest.fixture
def encoder() -> MaskedViTEncoder:
    torch.manual_seed(0)
    return MaskedViTEncoder(image_size=64, dim=16, depth=2, heads=2).eval()


def test_patches_with_least_noise_stay_visible() -> None:
    keep, restore, mask = random_patch_mask(torch.tensor([[0.9, 0.1, 0.5, 0.3]]), 0.5)
    assert keep.tolist() == [[1, 3]]
    assert mask.tolist() == [[1, 0, 1, 0]]
    assert restore.tolist() == [[3, 0, 2, 1]]


@pytest.mark.parametrize(("ratio", "visible"), [(0.0, 196), (0.5, 98), (0.75, 49), (0.9, 19)])
def test_share_of_visible_patches_is_rounded_down(ratio: float, visible: int) -> None:
    keep, restore, mask = random_patch_mask(torch.rand(2, 196), ratio)
    assert keep.shape == (2, visible) and mask.sum(dim=1).tolist() == [196 - visible] * 2
    for row in range(2):
        assert mask[row, keep[row]].sum() == 0
        assert restore[row].sort().values.tolist() == list(range(196))
        assert restore[row, keep[row]].tolist() == list(range(visible))


def test_patches_are_embedded_as_by_their_convolution(encoder: MaskedViTEncoder) -> None:
    image = torch.randn(2, 3, 64, 64)
    convolved = encoder.patch_embed.proj(image).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder.patch_embed(image), convolved)


def test_all_patches_in_another_order_are_the_same_features_in_that_order(encoder: MaskedViTEncoder) -> None:
    image, order = torch.randn(2, 3, 64, 64), torch.stack([torch.randperm(16), torch.randperm(16)])
    whole, shuffled = encoder(image), encoder(image, order)
    torch.testing.assert_close(shuffled[:, 0], whole[:, 0])
    for row in range(2):
        torch.testing.assert_close(shuffled[row, 1:], whole[row, 1:][order[row]])


def test_hidden_patches_have_no_influence(encoder: MaskedViTEncoder) -> None:
    image, keep = torch.randn(1, 3, 64, 64), torch.tensor([[0, 5]])
    changed = image.clone()
    changed[:, :, 16:, 32:] += 1.0  # rows 1 to 3, columns 2 and 3 of patches: neither patch 0 nor 5
    torch.testing.assert_close(encoder(image, keep), encoder(changed, keep), rtol=0, atol=0)


def test_state_dict_has_the_keys_of_timm(encoder: MaskedViTEncoder) -> None:
    top = {key for key in encoder.state_dict() if not key.startswith("blocks.")}
    assert top == {
        "cls_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "norm.weight",
        "norm.bias",
    }
    assert not encoder.pos_embed.requires_grad


def test_image_of_another_size_is_refused(encoder: MaskedViTEncoder) -> None:
    with pytest.raises(ValueError, match=r"\[B, 3, 64, 64\], got \(1, 3, 64, 48\)"):
        encoder(torch.zeros(1, 3, 64, 48))


def test_size_that_is_no_whole_number_of_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="image_size 100 is not a multiple of patch_size 16"):
        MaskedViTEncoder(image_size=100)
