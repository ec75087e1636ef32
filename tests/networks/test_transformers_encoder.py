# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from radbundles.networks import TransformersImageEncoder

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 64,
    "patch_size": 16,
}
VIT = {"model_type": "vit", **SMALL}
SWIN = {"model_type": "swin", "embed_dim": 8, "depths": [1, 1, 2], "num_heads": [1, 2, 4], "image_size": 224}


@pytest.mark.parametrize(
    ("config", "stride"),
    [
        (VIT, 16),
        ({"model_type": "dinov2_with_registers", **SMALL}, 16),
        ({"model_type": "deit", **SMALL}, 16),
        (SWIN, 16),
        ({"model_type": "convnext", "hidden_sizes": [4, 8, 16, 32], "depths": [1, 1, 1, 1]}, 32),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else None,
)
def test_dense_features_of_every_crop_size(config: dict[str, Any], stride: int) -> None:
    torch.manual_seed(0)
    encoder = TransformersImageEncoder(config).eval()
    for height, width in ((128, 128), (224, 160)):
        features = encoder(torch.rand(1, 3, height, width))
        assert features.shape == (1, 32, height // stride, width // stride)


def test_sides_that_a_hierarchical_model_pads_keep_their_cells() -> None:
    assert TransformersImageEncoder(SWIN)(torch.rand(1, 3, 224, 258)).shape == (1, 32, 14, 17)


@pytest.mark.parametrize("kind", ["vit", "dinov2_with_registers"])
def test_cells_are_the_patch_tokens_in_rows(kind: str) -> None:
    torch.manual_seed(0)
    encoder = TransformersImageEncoder({"model_type": kind, **SMALL}).eval()
    image = torch.rand(1, 3, 64, 96)
    tokens = encoder.model(pixel_values=image, **encoder._options).last_hidden_state[0]
    first = len(tokens) - 24
    assert first == (1 if kind == "vit" else 5)  # one class token, four registers
    features = encoder(image)
    torch.testing.assert_close(features[0, :, 1, 2], tokens[first + 6 + 2])
    torch.testing.assert_close(features[0, :, 3, 5], tokens[-1])


@pytest.mark.parametrize("kind", ["vit", "dinov2_with_registers"])
def test_every_trained_parameter_gets_a_gradient(kind: str) -> None:
    encoder = TransformersImageEncoder({"model_type": kind, **SMALL})
    encoder(torch.rand(1, 3, 96, 96)).square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


def test_saved_model_loads_from_its_folder(tmp_path: Path) -> None:
    source = TransformersImageEncoder(VIT).eval()
    source.model.save_pretrained(tmp_path)
    loaded = TransformersImageEncoder(tmp_path).eval()
    image = torch.rand(1, 3, 80, 80)
    torch.testing.assert_close(loaded(image), source(image))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"model_type": "vit_mae", **SMALL}, "mask_ratio 0.75"),
        ({"model_type": "bert", "hidden_size": 32, "num_attention_heads": 2}, "no pixel_values"),
        ({"hidden_size": 32}, "needs a model_type"),
        ("google/vit-base-patch16-224", "40 hexadecimal digits, got None"),
    ],
)
def test_models_of_no_use_are_refused(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformersImageEncoder(source)
