# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import TransformerBlock
from radbundles.networks.transformer_block import SelfAttention


def test_attention_equals_the_written_out_formula() -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(12, 3), torch.randn(2, 5, 12)
    heads = []
    query, key, value = attention.qkv(x).split(12, dim=-1)
    for head in range(3):
        q, k, v = (part[..., 4 * head : 4 * head + 4] for part in (query, key, value))
        heads.append((q @ k.transpose(1, 2) / 2).softmax(dim=-1) @ v)
    torch.testing.assert_close(attention(x), attention.proj(torch.cat(heads, dim=-1)))


def test_block_has_the_keys_of_timm() -> None:
    layers = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    assert set(TransformerBlock(8, 2).state_dict()) == {
        f"{layer}.{end}" for layer in layers for end in ("weight", "bias")
    }


def test_block_is_blind_to_the_order_of_tokens() -> None:
    torch.manual_seed(0)
    block, x, order = TransformerBlock(8, 2), torch.randn(1, 6, 8), torch.randperm(6)
    torch.testing.assert_close(block(x)[:, order], block(x[:, order]))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="10 is not a multiple of the number of heads 4"):
        TransformerBlock(10, 4)


def test_hidden_width_survives_being_written_as_a_ratio() -> None:
    with torch.device("meta"):
        widths = [TransformerBlock(56, 2, mlp_ratio=hidden / 56).mlp.fc1.out_features for hidden in range(50, 150)]
    assert widths == list(range(50, 150))
