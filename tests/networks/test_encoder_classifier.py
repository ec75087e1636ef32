# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks import EncoderClassifier, ResNetEncoder, ViTEncoder


def vit(**options: Any) -> ViTEncoder:
    torch.manual_seed(0)
    return ViTEncoder(**{"image_size": 32, "dim": 24, "depth": 2, "heads": 3, **options})


def test_logits_are_those_of_the_normalized_mean_of_the_cells() -> None:
    network = EncoderClassifier(vit(), 5).eval()
    torch.nn.init.normal_(network.head.weight)
    image = torch.randn(2, 3, 32, 32)
    mean = network.encoder(image).mean((2, 3))
    expected = F.layer_norm(mean, (24,), eps=1e-6) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(image), expected)


def test_sizes_and_start_are_the_official_ones() -> None:
    with torch.device("meta"):
        network = EncoderClassifier(ViTEncoder(), 14)
    assert sum(p.numel() for p in network.parameters()) == 85_809_422
    head = EncoderClassifier(vit(dim=240), 40).head
    assert head.weight.std().item() == pytest.approx(2e-5, rel=0.05) and not head.bias.any()
    assert {key.split(".")[0] for key in network.state_dict()} == {"encoder", "fc_norm", "head"}


def test_everything_is_trained() -> None:
    network = EncoderClassifier(vit(), 5, dropout=0.1)
    torch.nn.init.normal_(network.head.weight)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_linear_probe_trains_the_head_on_features_that_never_change(kind: str) -> None:
    encoder = vit(drop_path=0.9) if kind == "vit" else ResNetEncoder(18, widths=(4, 6), blocks=(1, 1))
    network = EncoderClassifier(encoder, 5, trained="head")
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    torch.nn.init.normal_(network.head.weight)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.randn(4, 3, 32, 32)
    expected = network.eval()(image)
    for _ in range(2):
        network.train()
        assert network.training and network.head.training and not network.encoder.training
        torch.testing.assert_close(network(image), expected)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_exports_and_runs_in_bfloat16() -> None:
    network = EncoderClassifier(vit(), 5).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    image = torch.randn(3, 3, 32, 32)
    program = torch.export.export(network, (image[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(image), network(image))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network(image).float(), network(image).float(), atol=0.05, rtol=0.05)


def test_no_class_and_unknown_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="num_classes must be 1 or more, got 0"):
        EncoderClassifier(vit(), 0)
    with pytest.raises(ValueError, match="got 'fc'"):
        EncoderClassifier(vit(), 2, trained="fc")  # type: ignore[arg-type]
