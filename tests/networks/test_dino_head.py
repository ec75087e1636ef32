# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

from radbundles.networks import DINOHead


def small() -> DINOHead:
    torch.manual_seed(0)
    return DINOHead(in_dim=12, hidden_dim=300, bottleneck_dim=20, out_dim=7)


def test_logits_are_cosines_with_the_prototypes() -> None:
    head = small()
    embedding = torch.randn(4, 3, 12)
    rows = F.normalize(head.last_layer.parametrizations.weight.original1, dim=1)
    expected = F.normalize(head.mlp(embedding), dim=-1) @ rows.T
    torch.testing.assert_close(head(embedding), expected)
    assert head(embedding).shape == (4, 3, 7)


def test_activation_is_the_exact_gelu() -> None:
    head = small()
    state = head.state_dict()
    x = torch.randn(5, 12)
    hidden = F.linear(x, state["mlp.0.weight"], state["mlp.0.bias"])
    gelu = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    torch.testing.assert_close(head.mlp(x), F.linear(gelu, state["mlp.2.weight"], state["mlp.2.bias"]))


def test_weights_begin_small_and_biases_at_zero() -> None:
    state = small().state_dict()
    assert 0.017 < state["mlp.0.weight"].std() < 0.023
    assert not state["mlp.0.bias"].any() and not state["mlp.2.bias"].any()


def test_gain_stays_one_through_training() -> None:
    head = small()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=0.5)
    before = head.last_layer.weight.detach().clone()
    head(torch.randn(6, 12)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(head.last_layer.weight.norm(dim=1), torch.ones(7))
    assert not torch.allclose(head.last_layer.weight, before)


def test_copy_is_independent() -> None:
    head = small()
    twin = copy.deepcopy(head)
    with torch.no_grad():
        head.get_parameter("mlp.0.weight").zero_()
    assert twin.get_parameter("mlp.0.weight").any()
    assert not twin.last_layer.parametrizations.weight.original0.requires_grad
