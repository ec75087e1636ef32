# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of DCXFM, and that configurations alone put any encoder into it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from radbundles.components.engines import EMATeacher
from radbundles.losses import DCXFMObjective
from radbundles.networks import DCXFM, ImageTower, TextTower, build_bert

DIM = 8
TEXT = {
    "_target_": "radbundles.networks.TextTower",
    "encoder": {"_target_": "radbundles.networks.build_bert", "vocab_size": 40, "dim": 16, "layers": 1, "heads": 2},
    "dim": DIM,
}
ENCODERS: dict[str, dict[str, Any]] = {
    "resnet": {
        "encoder": {
            "_target_": "radbundles.networks.ResNetEncoder",
            "depth": 18,
            "widths": [4, 6, 8, 10],
            "blocks": [1, 1, 1, 1],
        }
    },
    "swin": {
        "encoder": {
            "_target_": "radbundles.networks.SwinEncoder",
            "dim": 8,
            "depths": [1, 1, 2, 1],
            "heads": [1, 2, 2, 4],
        }
    },
    "vit": {
        "encoder": {
            "_target_": "radbundles.networks.TransformersImageEncoder",
            "source": {
                "model_type": "vit",
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 24,
                "image_size": 64,
                "patch_size": 16,
            },
        }
    },
    "own": {"encoder": {"_target_": "my_networks.Own", "width": 12}, "channels": 12},
}


class Own(nn.Module):
    """What a user might bring: an encoder that knows nothing of this library."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 8, stride=8), nn.ReLU(), nn.Conv2d(width, width, 4, stride=4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def made_up_batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1] * 9, [1] * 6 + [0] * 3])
    inner = mask.bool()
    inner[:, 0] = inner[0, 8] = inner[1, 5] = False
    return {
        "image_global": torch.rand(2, 2, 3, 96, 96, generator=generator),
        "image_local": torch.rand(2, 3, 3, 64, 64, generator=generator),
        "input_ids": torch.randint(5, 40, (2, 9), generator=generator) * mask,
        "attention_mask": mask,
        "word_mask": inner,
        "image_labels": torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, -1.0]]),
        "text_labels": torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 0.0]]),
    }


@pytest.mark.parametrize("kind", ENCODERS)
def test_any_encoder_trains_by_configuration_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_networks")
    module.Own = Own  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_networks", module)
    torch.manual_seed(0)
    image = {"_target_": "radbundles.networks.ImageTower", "dim": DIM, **ENCODERS[kind]}
    config = {
        "network": {"_target_": "radbundles.networks.DCXFM", "image": image, "text": TEXT},
        "head": {
            "_target_": "radbundles.networks.DINOHead",
            "in_dim": DIM,
            "hidden_dim": 16,
            "bottleneck_dim": 8,
            "out_dim": 128,
        },
        "objective": {"_target_": "radbundles.losses.DCXFMObjective", "network": "@network", "head": "@head"},
    }
    objective = ConfigParser(config).get_parsed_content("objective").train()
    assert isinstance(objective, DCXFMObjective) and objective.teacher is not None
    trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    assert not [name for name in trained if name.startswith("teacher.")]
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3)
    ema = EMATeacher(objective.student, objective.teacher, optimizer, momentum=0.5)
    optimizer.register_step_post_hook(ema)
    start = objective.state_dict()["teacher.image.projection.weight"].clone()
    loss = objective(made_up_batch())["loss"]
    loss.backward()
    assert loss.isfinite() and [name for name, p in trained.items() if p.grad is None] == []
    optimizer.step()
    state = objective.state_dict()
    expected = 0.5 * start + 0.5 * state["network.image.projection.weight"]
    torch.testing.assert_close(state["teacher.image.projection.weight"], expected)


def test_network_is_its_towers() -> None:
    torch.manual_seed(0)
    image = ImageTower(Own(6), dim=DIM, channels=6)
    text = TextTower(build_bert(vocab_size=40, dim=16, layers=1, heads=2, dropout=0.0), dim=DIM)
    network = DCXFM(image, text)
    batch = made_up_batch()
    pixels = batch["image_global"][:, 0]
    assert torch.equal(network(pixels), image(pixels)) and network(pixels).shape == (2, DIM, 3, 3)
    words, sentences = network.encode_text(batch["input_ids"], batch["attention_mask"], batch["word_mask"])
    assert words.shape == (2, 9, DIM) and sentences.shape == (2, DIM) and network.dim == DIM
    tops = {".".join(key.split(".")[:2]) for key in network.state_dict()}
    assert tops == {"image.encoder", "image.projection", "text.encoder", "text.projection"}


def test_towers_of_different_widths_are_refused() -> None:
    text = TextTower(build_bert(vocab_size=40, dim=16, layers=1, heads=2), dim=DIM + 1)
    with pytest.raises(ValueError, match=r"got 8 \(image\) and 9 \(text\)"):
        DCXFM(ImageTower(Own(6), dim=DIM, channels=6), text)
