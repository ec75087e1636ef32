# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from radbundles.networks import ResNetEncoder, TransformersImageEncoder, ViTEncoder, build_encoder

VIT = {"kind": "vit", "patch_size": 8, "dim": 24, "depth": 2, "heads": 3}
RESNET = {"kind": "resnet", "depth": 18, "widths": [4, 6, 8], "blocks": [1, 1, 1], "max_pool": False}
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
DINO = {"kind": "transformers", "config": {"model_type": "dinov2", **SMALL, "patch_size": 16}}
SWIN = {"kind": "transformers", "config": {"model_type": "swin", "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}}
CONVNEXT = {
    "kind": "transformers",
    "config": {"model_type": "convnext", "hidden_sizes": [4, 8, 8, 8], "depths": [1, 1, 1, 1]},
}


@pytest.mark.parametrize(
    ("encoder", "kind", "stride"),
    [
        (VIT, ViTEncoder, 8),
        (RESNET, ResNetEncoder, 8),
        ({"kind": "resnet", "depth": 18}, ResNetEncoder, 32),
        (DINO, TransformersImageEncoder, 16),
        (SWIN, TransformersImageEncoder, 8),
        (CONVNEXT, TransformersImageEncoder, 32),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_tells_the_channels_and_the_stride_of_its_features(
    encoder: dict[str, Any], kind: type, stride: int, channels: int
) -> None:
    network = build_encoder(json.loads(json.dumps(encoder)), image_size=224, channels=channels).eval()
    assert type(network) is kind and network.stride == stride
    with torch.no_grad():
        features = network(torch.rand(1, channels, 224, 224))
    assert features.shape == (1, network.out_channels, 224 // stride, 224 // stride)


def test_drop_path_reaches_the_encoders_that_have_it() -> None:
    vit: Any = build_encoder(VIT, image_size=64, drop_path=0.3)
    assert vit.blocks[-1].drop_path.drop_prob == 0.3
    dino: Any = build_encoder(DINO, image_size=64, drop_path=0.3)
    assert dino.model.config.drop_path_rate == 0.3
    assert dino.model.config.image_size == 64


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({}, "needs a kind of vit, resnet, transformers, got None"),
        ({"kind": "resnett"}, "did you mean 'resnet'"),
        ({**VIT, "patchsize": 8}, "kind 'vit' has no 'patchsize'.*did you mean 'patch_size'"),
        ({"kind": "transformers", "config": {}}, "needs a config with a model_type"),
        ({"kind": "transformers", "config": {"model_type": "vit_mae"}}, "mask_ratio 0.75"),
    ],
)
def test_what_is_not_known_is_refused_with_a_hint(encoder: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_encoder(encoder, image_size=64)


@pytest.mark.parametrize("encoder", [RESNET, {"kind": "transformers", "config": {"model_type": "vit", **SMALL}}])
def test_stochastic_depth_is_refused_where_there_is_none(encoder: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no stochastic depth: set drop_path to 0, not 0.1"):
        build_encoder(encoder, image_size=64, drop_path=0.1)
