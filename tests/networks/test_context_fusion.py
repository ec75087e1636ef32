# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BertConfig

from radbundles.networks import ContextFusionLayer, TokenHead
from radbundles.networks.context_fusion import CrossAttention


def config(attention: str = "sdpa") -> BertConfig:
    sizes: dict[str, Any] = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "vocab_size": 11}
    sizes["attn_implementation"] = attention
    return BertConfig(**sizes)


def test_cross_attention_equals_its_weights_times_the_values() -> None:
    torch.manual_seed(0)
    attention, x, context = CrossAttention(12, 3).eval(), torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    weights = attention.weights(x, context)
    assert weights.shape == (2, 3, 5, 7)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3, 5))
    values = attention.value(context).reshape(2, 7, 3, 4)
    torch.testing.assert_close(attention(x, context), torch.einsum("bhln,bnhd->blhd", weights, values).flatten(2))


def test_dropout_of_attention_acts_in_training_only() -> None:
    torch.manual_seed(0)
    attention, x, context = CrossAttention(12, 3, dropout=0.5), torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    assert not torch.allclose(attention.train()(x, context), attention(x, context))
    assert torch.equal(attention.eval()(x, context), attention(x, context))


def test_order_of_patches_does_not_matter_but_their_mean_does() -> None:
    torch.manual_seed(0)
    layer = ContextFusionLayer(config()).eval()
    text, mask, visual = torch.randn(2, 5, 12), torch.ones(2, 1, 1, 5, dtype=torch.bool), torch.randn(2, 7, 12)
    fused = layer(text, mask, visual)
    torch.testing.assert_close(layer(text, mask, visual[:, torch.randperm(7)]), fused)
    with torch.no_grad():  # nothing but the coarse scale is left of the image
        layer.cross_attention.value.weight.zero_()
        layer.cross_attention.value.bias.zero_()
    same_mean = visual.mean(dim=1, keepdim=True).expand(-1, 7, -1)
    torch.testing.assert_close(layer(text, mask, visual), layer(text, mask, same_mean))
    assert not torch.allclose(layer(text, mask, visual), layer(text, mask, visual + 1))


def test_attention_that_would_misread_the_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="eager"):
        ContextFusionLayer(config("eager"))


def test_output_matrix_and_bias_are_one_parameter_each() -> None:
    names = {name for name, _ in TokenHead(config()).named_parameters()}
    assert {"decoder.weight", "decoder.bias"} <= names and "bias" not in names
