# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.components.engines import parameter_groups
from radbundles.networks import DCXFM, CostAggregator, DCXFMDense, ImageTower, ResNetEncoder, TextTower, build_bert


@pytest.fixture
def network() -> DCXFMDense:
    towers = DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 6, 8, 10), blocks=(1, 1, 1, 1)), dim=8),
        TextTower(build_bert(vocab_size=12, dim=16, layers=1, heads=2, ffn=16), dim=8),
    )
    return DCXFMDense(towers, CostAggregator(dim=16, heads=2, window=4, prompt_channels=2, decoder_widths=(16, 16)))


def named(network: DCXFMDense, groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Rate and decay of each parameter; fails if one is in two groups."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [(names[id(p)], (group["lr"], group["weight_decay"])) for group in groups for p in group["params"]]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_towers_learn_slowly_and_what_is_frozen_is_left_out(network: DCXFMDense) -> None:
    network.text.requires_grad_(False)
    groups = parameter_groups(network, learning_rate=2e-3, encoder_multiplier=0.05)
    assert len(groups) == 4
    found = named(network, groups)
    assert found.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
    for name, (rate, _) in found.items():
        assert rate == pytest.approx(2e-3 if name.startswith("aggregator.") else 1e-4)


def test_normalizations_and_embeddings_do_not_decay(network: DCXFMDense) -> None:
    groups = parameter_groups(network, learning_rate=1e-3, weight_decay=0.1)
    assert len(groups) == 6
    found = named(network, groups)
    assert found.keys() == dict(network.named_parameters()).keys()
    plain = {name for name, (_, decay) in found.items() if decay == 0}
    assert {decay for _, decay in found.values()} == {0.0, 0.1}
    for name in plain:
        owner = network.get_submodule(name.rpartition(".")[0])
        assert "Norm" in type(owner).__name__ or "Embedding" in type(owner).__name__
    for kind in ("BatchNorm2d", "GroupNorm", "LayerNorm", "Embedding"):
        assert any(type(network.get_submodule(name.rpartition(".")[0])).__name__ == kind for name in plain)
    for name in ("dcxfm.image.projection.bias", "dcxfm.image.encoder.conv1.weight", "dcxfm.text.projection.weight"):
        assert found[name][1] == 0.1


def test_adamw_takes_the_groups(network: DCXFMDense) -> None:
    optimizer = torch.optim.AdamW(parameter_groups(network, learning_rate=1e-3), lr=1.0, weight_decay=1.0)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3, 1e-5}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4, 0.0}


def test_negative_values_are_refused(network: DCXFMDense) -> None:
    with pytest.raises(ValueError, match="encoder_multiplier=-0.1"):
        parameter_groups(network, learning_rate=1e-3, encoder_multiplier=-0.1)
