# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import ViTEncoder
from radbundles.networks.vit_keys import position_prefix, vit_sizes, vit_tensors

# Names of transformers, as its files have them and as its modules are called now: {theirs: ours}.
OLD = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "encoder.layer.11.layernorm_before.weight": "blocks.11.norm1.weight",
    "encoder.layer.11.attention.output.dense.bias": "blocks.11.attn.proj.bias",
    "encoder.layer.11.layernorm_after.bias": "blocks.11.norm2.bias",
    "encoder.layer.11.intermediate.dense.weight": "blocks.11.mlp.fc1.weight",
    "encoder.layer.11.output.dense.weight": "blocks.11.mlp.fc2.weight",
    "encoder.layer.11.mlp.fc1.bias": "blocks.11.mlp.fc1.bias",
    "layernorm.weight": "norm.weight",
}
NEW = {
    "layers.3.layernorm_before.weight": "blocks.3.norm1.weight",
    "layers.3.attention.o_proj.weight": "blocks.3.attn.proj.weight",
    "layers.3.mlp.fc2.bias": "blocks.3.mlp.fc2.bias",
    "embeddings.distillation_token": "dist_token",
}
AS_THEY_ARE = [
    "cls_token",
    "blocks.0.attn.qkv.weight",
    "norm.bias",
    "decoder_blocks.0.norm1.weight",
    "pooler.dense.bias",
]


def test_names_of_transformers_become_those_of_timm() -> None:
    names = {**OLD, **NEW, **{key: key for key in AS_THEY_ARE}}
    given = vit_tensors({key: torch.zeros(1) for key in names})
    assert given.sources == {ours: [theirs] for theirs, ours in names.items()}
    assert given.tensors.keys() == given.sources.keys()


@pytest.mark.parametrize(
    "names",
    [
        ["encoder.layer.0.attention.attention.query", "attention.attention.key", "attention.attention.value"],
        ["layers.0.attention.q_proj", "attention.k_proj", "attention.v_proj"],
    ],
)
def test_queries_keys_and_values_are_stacked_in_this_order(names: list[str]) -> None:
    block = names[0].split("attention")[0]
    keys = [names[0], *(block + name for name in names[1:])]
    state = {
        f"{key}.{part}": torch.full((2, 2) if part == "weight" else (2,), float(i))
        for i, key in reversed(list(enumerate(keys)))
        for part in ("weight", "bias")
    }
    given = vit_tensors(state)
    assert given.tensors["blocks.0.attn.qkv.bias"].tolist() == [0, 0, 1, 1, 2, 2]
    assert given.tensors["blocks.0.attn.qkv.weight"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert given.sources["blocks.0.attn.qkv.bias"] == [f"{key}.bias" for key in keys]


@pytest.mark.parametrize("name", ["blocks.0.ls2.gamma", "encoder.layer.0.layer_scale2.lambda1"])
def test_a_layer_scale_is_multiplied_into_the_rows_of_the_layer_before_it(name: str) -> None:
    torch.manual_seed(0)
    weight, bias, gamma, x = torch.randn(3, 5), torch.randn(3), torch.randn(3), torch.randn(4, 5)
    given = vit_tensors({"blocks.0.mlp.fc2.weight": weight, "blocks.0.mlp.fc2.bias": bias, name: gamma})
    folded = x @ given.tensors["blocks.0.mlp.fc2.weight"].T + given.tensors["blocks.0.mlp.fc2.bias"]
    torch.testing.assert_close(folded, (x @ weight.T + bias) * gamma)
    assert given.tensors.keys() == {"blocks.0.mlp.fc2.weight", "blocks.0.mlp.fc2.bias"}
    assert sorted(key for keys in given.sources.values() for key in keys).count(name) == 1


def test_sizes_are_read_off_the_tensors() -> None:
    with torch.device("meta"):
        encoder = ViTEncoder(image_size=96, patch_size=8, dim=48, depth=3, heads=4, mlp_ratio=2.5, in_channels=1)
    assert vit_sizes(encoder.state_dict()) == {
        "dim": 48,
        "patch_size": 8,
        "channels": 1,
        "depth": 3,
        "mlp_ratio": 2.5,
    }
    assert vit_sizes({"patch_embed.proj.weight": torch.zeros(4, 12)}) == {"depth": 0}


def test_rows_before_the_grid_are_counted() -> None:
    assert [position_prefix(torch.zeros(1, 196 + more, 4)) for more in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"got \(1, 200, 4\)"):
        position_prefix(torch.zeros(1, 200, 4))
    with pytest.raises(ValueError, match=r"got \(1, 14, 14, 4\)"):
        position_prefix(torch.zeros(1, 14, 14, 4))
