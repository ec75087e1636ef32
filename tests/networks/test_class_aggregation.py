# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Class aggregation against its equations, place by place and head by head."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks import ClassAggregation
from radbundles.networks.class_aggregation import linear_attention


def aggregation(**options: Any) -> ClassAggregation:
    torch.manual_seed(0)
    return ClassAggregation(8, heads=2, **options)


def phi(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x + 1, x.exp())


def at_one_place(module: ClassAggregation, tokens: torch.Tensor, text: torch.Tensor | None, kind: str) -> torch.Tensor:
    """The block on the tokens [T, dim] of one place, written out."""
    normed = F.layer_norm(tokens, (8,), module.norm1.weight, module.norm1.bias)
    joined = normed if text is None else torch.cat([normed, text], -1)
    q, k = (F.linear(joined, layer.weight, layer.bias) for layer in (module.q, module.k))
    v = module.v(normed)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        if kind == "full":
            weights = (q[:, head] @ k[:, head].T / 2).softmax(-1)
        else:
            scores = phi(q[:, head]) @ phi(k[:, head]).T
            weights = scores / (scores.sum(-1, keepdim=True) + 1e-6)
        heads.append(weights @ v[:, head])
    tokens = tokens + torch.cat(heads, -1)
    return tokens + module.mlp(F.layer_norm(tokens, (8,), module.norm2.weight, module.norm2.bias))


@pytest.mark.parametrize("kind", ["linear", "full"])
@pytest.mark.parametrize("guided", [False, True])
def test_block_is_its_equations(kind: Literal["linear", "full"], guided: bool) -> None:
    module = aggregation(attention=kind, pooling=2, text_dim=3 if guided else 0)
    x = torch.randn(2, 5, 8, 4, 6)
    text = torch.randn(2, 5, 3) if guided else None
    pooled = x.unflatten(3, (2, 2)).unflatten(5, (3, 2)).mean((4, 6))
    coarse = torch.empty_like(pooled)
    for b in range(2):
        for row in range(2):
            for column in range(3):
                own = None if text is None else text[b]
                coarse[b, :, :, row, column] = at_one_place(module, pooled[b, :, :, row, column], own, kind)
    fine = F.interpolate(coarse.flatten(0, 1), size=(4, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(module(x, text), x + fine.unflatten(0, (2, 5)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "full"])
def test_permuted_classes_give_permuted_results(kind: Literal["linear", "full"]) -> None:
    module = aggregation(attention=kind, text_dim=3)
    x, text, order = torch.randn(2, 7, 8, 4, 4), torch.randn(2, 7, 3), torch.randperm(7)
    torch.testing.assert_close(module(x, text)[:, order], module(x[:, order], text[:, order]))


def test_texts_may_be_shared_by_the_images() -> None:
    module, x, text = aggregation(text_dim=3), torch.randn(2, 7, 8, 4, 4), torch.randn(1, 7, 3)
    torch.testing.assert_close(module(x, text), module(x, text.expand(2, -1, -1)))


@pytest.mark.parametrize(("h", "w", "pooling"), [(5, 7, 2), (1, 3, 2), (3, 3, (1, 3)), (2, 2, 4)])
def test_any_grid_is_pooled(h: int, w: int, pooling: int | tuple[int, int]) -> None:
    module, x = aggregation(pooling=pooling), torch.randn(1, 3, 8, h, w)
    y = module(x)
    assert y.shape == x.shape and y.isfinite().all()


def test_linear_attention_is_its_definition_for_thousands_of_classes() -> None:
    query = torch.randn(2, 3000, 4, dtype=torch.float64)
    scores = phi(query) @ phi(query).mT
    expected = scores / (scores.sum(-1, keepdim=True) + 1e-6) @ query
    torch.testing.assert_close(linear_attention(*(query.float(),) * 3), expected.float(), atol=1e-5, rtol=1e-5)


def test_sums_over_classes_keep_their_digits_in_half_precision() -> None:
    """3000 ones add up to 3000; in bfloat16 they stop at 256."""
    ones = torch.ones(1, 3000, 4, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attended = linear_attention(ones, ones, ones)
    assert attended.dtype == torch.bfloat16
    torch.testing.assert_close(attended.float(), torch.ones(1, 3000, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "soft"}, "'linear' or 'full', got 'soft'"),
        ({"pooling": 0}, "pooling must be one positive number or two, got 0"),
        ({"pooling": (2, 2, 2)}, "one positive number or two"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregation(**options)
    with pytest.raises(ValueError, match="not a multiple of the number of heads 3"):
        ClassAggregation(8, heads=3)
