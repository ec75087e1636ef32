# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.networks import ECAMP, ECAMPEntityMaps

SIZES: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 8,
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "decoder_dim": 16,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "vocab_size": 20,
    "text_dim": 16,
    "text_layers": 1,
    "text_heads": 2,
    "text_ffn": 32,
    "max_length": 16,
}
PROMPTS = [([2, 5, 6, 9, 7], [False, False, False, True, False]), ([2, 5, 10, 11], [False, False, True, True])]


def test_maps_are_the_attention_of_each_prompt() -> None:
    torch.manual_seed(0)
    network = ECAMP(**SIZES).eval()
    maps = ECAMPEntityMaps(prompts=PROMPTS, **SIZES).eval()
    maps.load_state_dict(network.state_dict(), strict=True)
    image = torch.randn(3, 3, 64, 64)
    pred = maps(image)
    assert pred.shape == (3, 2, 4, 4)
    for number, (ids, flags) in enumerate(PROMPTS):
        tokens = torch.tensor([ids] * 3)
        attention = network.cross_attention(image, tokens, torch.ones_like(tokens))
        expected = attention[:, :, torch.tensor(flags)].mean((1, 2))
        torch.testing.assert_close(pred[:, number], expected)
    torch.testing.assert_close(pred.sum((2, 3)), torch.ones(3, 2))


def test_features_are_the_mean_of_the_patches() -> None:
    maps = ECAMPEntityMaps(prompts=PROMPTS, **SIZES).eval()
    image = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(maps.describe(image)["features"], maps.encode(image)["patches"].mean(1))


def test_exports_with_a_dynamic_batch() -> None:
    maps = ECAMPEntityMaps(prompts=PROMPTS, **SIZES).eval()
    exported = torch.export.export(maps, (torch.randn(3, 3, 64, 64),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    other = torch.randn(5, 3, 64, 64)
    torch.testing.assert_close(exported.module()(other), maps(other))


@pytest.mark.parametrize("prompts", [[], [([2, 5], [False, False])], [([2] * 17, [True] * 17)], [([2], [True, True])]])
def test_bad_prompts_are_refused(prompts: list) -> None:
    with pytest.raises(ValueError, match="prompt"):
        ECAMPEntityMaps(prompts=prompts, **SIZES)
