# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from radbundles.components.engines import layer_decay_groups
from radbundles.losses import ClassificationObjective, MultiLabelLoss
from radbundles.networks import EncoderClassifier, EncoderSegmenter, ResNetEncoder, ViTEncoder, build_encoder


def vit(**options: Any) -> ViTEncoder:
    return ViTEncoder(**{"image_size": 32, "dim": 24, "depth": 3, "heads": 3, **options})


def named(network: nn.Module, groups: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Rate and decay of each parameter; fails if one is in two groups, or a group is empty."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [(names[id(p)], (group["lr"], group["weight_decay"])) for group in groups for p in group["params"]]
    assert len(dict(found)) == len(found) and all(group["params"] for group in groups)
    return dict(found)


def test_rates_of_a_vision_transformer_follow_beit_and_mae() -> None:
    network = EncoderClassifier(vit(norm=True), 2)
    groups = layer_decay_groups(network, learning_rate=1.0, weight_decay=0.05, layer_decay=0.5)
    found = named(network, groups)
    assert found.keys() == dict(network.named_parameters()).keys()
    for name, (rate, decay) in found.items():
        part = name.removeprefix("encoder.")
        exponent = 0  # head, fc_norm and the final norm
        if part.startswith("blocks."):
            exponent = 3 - int(part.split(".")[1])
        elif part.startswith(("cls_token", "pos_embed", "patch_embed")):
            exponent = 4
        assert rate == pytest.approx(0.5**exponent), name
        token = part in ("cls_token", "pos_embed")
        assert decay == (0.05 if part.endswith("weight") and "norm" not in part and not token else 0), name
    assert len(groups) == 10
    assert [group["lr"] for group in groups] == sorted(group["lr"] for group in groups)


def test_the_objective_of_a_network_has_the_same_groups() -> None:
    network = EncoderClassifier(vit(), 2)
    options: Any = {"learning_rate": 1e-3, "weight_decay": 0.1, "layer_decay": 0.75}
    objective = ClassificationObjective(network, MultiLabelLoss())
    assert [[id(p) for p in group["params"]] for group in layer_decay_groups(objective, **options)] == [
        [id(p) for p in group["params"]] for group in layer_decay_groups(network, **options)
    ]


def test_stages_of_a_resnet_are_its_layers() -> None:
    network = EncoderSegmenter(ResNetEncoder(18, widths=(4, 6), blocks=(1, 2)), 1, decoder="unetr", widths=(8, 4, 4))
    found = named(network, layer_decay_groups(network, learning_rate=1.0, layer_decay=0.1))
    rates = {"encoder.conv1": 1e-3, "encoder.bn1": 1e-3, "encoder.layer1": 1e-2, "encoder.layer2": 1e-1, "decoder": 1}
    for name, (rate, _) in found.items():
        assert rate == pytest.approx(next(value for start, value in rates.items() if name.startswith(start))), name


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        {"model_type": "swin", "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]},
        {"model_type": "convnext", "hidden_sizes": [4, 8], "depths": [1, 1], "num_stages": 2},
    ],
    ids=lambda config: str(config["model_type"]),
)
def test_layers_of_transformers_are_told_by_their_numbers(config: dict[str, Any]) -> None:
    encoder = build_encoder({"kind": "transformers", "config": config}, image_size=64)
    network = EncoderClassifier(encoder, 2)
    found = named(network, layer_decay_groups(network, learning_rate=1.0, layer_decay=0.5))
    assert {rate for rate, _ in found.values()} == {1.0, 0.5, 0.25, 0.125}
    assert found["head.weight"][0] == 1


def test_without_layer_decay_two_groups_hold_all_that_is_trained() -> None:
    network = EncoderClassifier(vit(), 2)
    network.encoder.requires_grad_(False)
    groups = layer_decay_groups(network, learning_rate=0.1, weight_decay=0.05)
    assert set(named(network, groups)) == {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.1, 0.05), (0.1, 0.0)]
    torch.optim.AdamW(groups)


def test_frozen_layers_leave_the_rates_of_the_others_alone() -> None:
    network = EncoderClassifier(vit(), 2)
    network.encoder.get_submodule("blocks.2").requires_grad_(False)
    found = named(network, layer_decay_groups(network, learning_rate=1.0, layer_decay=0.5))
    assert "encoder.blocks.2.mlp.fc1.weight" not in found
    assert found["encoder.blocks.1.mlp.fc1.weight"][0] == 0.25


class Odd(nn.Module):
    """An encoder without layers."""

    out_channels = 4

    def __init__(self) -> None:
        super().__init__()
        self.mixer = nn.Conv2d(3, 4, 1)


def test_layers_that_cannot_be_told_are_refused_only_if_they_matter() -> None:
    network = EncoderClassifier(Odd(), 2)
    assert len(layer_decay_groups(network, learning_rate=1.0, weight_decay=0.1)) == 2
    with pytest.raises(ValueError, match=r"layer of 'encoder.mixer.weight' cannot be told: set layer_decay to 1"):
        layer_decay_groups(network, learning_rate=1.0, layer_decay=0.9)
    with pytest.raises(ValueError, match="Linear has no encoder"):
        layer_decay_groups(nn.Linear(1, 1), learning_rate=1.0, layer_decay=0.9)


@pytest.mark.parametrize("options", [{"layer_decay": 0}, {"layer_decay": 1.1}, {"weight_decay": -1}])
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 < layer_decay <= 1"):
        layer_decay_groups(EncoderClassifier(vit(), 2), **{"learning_rate": 1.0, **options})
