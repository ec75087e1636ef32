# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks import (
    EncoderSegmenter,
    ProgressiveDecoder,
    ResNetEncoder,
    UNETRDecoder,
    ViTEncoder,
    build_encoder,
)

SIDE = 64
WIDTHS = (8, 6, 4, 4)


def vit(**options: Any) -> ViTEncoder:
    torch.manual_seed(0)
    return ViTEncoder(**{"image_size": SIDE, "dim": 24, "depth": 4, "heads": 3, **options})


def resnet(**options: Any) -> ResNetEncoder:
    torch.manual_seed(0)
    return ResNetEncoder(18, **{"widths": (4, 6, 8), "blocks": (1, 1, 1), **options})


NETWORKS = {
    "progressive": lambda: EncoderSegmenter(vit(), 2, widths=WIDTHS),
    "progressive apart": lambda: EncoderSegmenter(vit(), 2, widths=WIDTHS, shared=False),
    "unetr": lambda: EncoderSegmenter(vit(norm=True), 2, decoder="unetr", widths=WIDTHS),
    "unetr of one block": lambda: EncoderSegmenter(vit(depth=1), 2, decoder="unetr", widths=WIDTHS),
    "unetr of small patches": lambda: EncoderSegmenter(vit(patch_size=8), 2, decoder="unetr", widths=WIDTHS[:3]),
    "progressive of a resnet": lambda: EncoderSegmenter(resnet(), 2, widths=WIDTHS),
    "u-net": lambda: EncoderSegmenter(resnet(), 2, decoder="unetr", widths=WIDTHS),
    "u-net without pooling": lambda: EncoderSegmenter(resnet(max_pool=False), 2, decoder="unetr", widths=WIDTHS[:3]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_have_the_size_of_the_image_and_everything_learns(name: str) -> None:
    network = NETWORKS[name]()
    logits = network(torch.randn(2, 3, SIDE, SIDE))
    assert logits.shape == (2, 2, SIDE, SIDE)
    logits.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_numbers_of_parameters_are_the_official_ones() -> None:
    with torch.device("meta"):
        one = EncoderSegmenter(ViTEncoder(norm=True), 1, trained="decoder")
        two = EncoderSegmenter(ViTEncoder(norm=True), 2, trained="decoder", shared=False)
    count = {
        "all": sum(p.numel() for p in one.parameters()),
        "trained": sum(p.numel() for p in one.parameters() if p.requires_grad),
        "disc and cup": sum(p.numel() for p in two.parameters()),
    }
    assert {name: round(number / 1e6, 2) for name, number in count.items()} == {
        "all": 91.48,
        "trained": 5.68,
        "disc and cup": 96.57,
    }


def test_progressive_decoder_is_the_sequence_of_the_paper() -> None:
    torch.manual_seed(0)
    decoder = ProgressiveDecoder(12, 2, widths=(8, 4), shared=False).eval()
    state = decoder.state_dict()
    features = torch.randn(2, 12, 3, 3)
    maps = []
    for branch in range(2):
        x = torch.einsum("bchw,dc->bdhw", features, state["seg_head.weight"]) + state["seg_head.bias"][:, None, None]
        for stage in range(2):
            place = f"branches.{branch}.{stage}"
            x = F.conv2d(x, state[f"{place}.0.weight"], state[f"{place}.0.bias"], padding=1)
            x = F.relu(x / (1 + 1e-5) ** 0.5)  # statistics of a batch normalization that has seen nothing
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        last = f"branches.{branch}.2"
        maps.append(F.conv2d(x, state[f"{last}.weight"], state[f"{last}.bias"], padding=1))
    torch.testing.assert_close(decoder(features), torch.cat(maps, 1))


@pytest.mark.parametrize("decoder", ["progressive", "unetr"])
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_frozen_encoder_never_changes(decoder: Any, kind: str) -> None:
    encoder = vit(drop_path=0.9) if kind == "vit" else resnet()
    network = EncoderSegmenter(encoder, 1, decoder=decoder, trained="decoder", widths=WIDTHS)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    assert network.train().decoder.training and not encoder.training
    network(torch.randn(2, 3, SIDE, SIDE)).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert all((p.grad is None) == name.startswith("encoder.") for name, p in network.named_parameters())


def test_unetr_sees_the_blocks_at_equal_distances() -> None:
    network = EncoderSegmenter(vit(depth=12), 1, decoder="unetr", widths=WIDTHS).eval()
    asked: list[int] = []
    hidden = network.encoder.hidden

    def spy(image: torch.Tensor, layers: list[int]) -> list[torch.Tensor]:
        asked.extend(layers)
        return hidden(image, layers)  # type: ignore[operator]

    network.encoder.hidden = spy  # type: ignore[assignment]
    network(torch.zeros(1, 3, SIDE, SIDE))
    assert asked == [12, 9, 6, 3]


def test_unetr_follows_a_single_pixel() -> None:
    network = EncoderSegmenter(vit(), 1, decoder="unetr", widths=WIDTHS).eval()
    image = torch.zeros(1, 3, SIDE, SIDE)
    moved = image.clone()
    moved[..., 20, 37] = 1
    encode = network.encoder.hidden(image, [1, 2, 3, 4])  # type: ignore[operator]
    network.encoder.hidden = lambda *_: [encode[i] for i in (3, 2, 1, 0)]  # type: ignore[assignment]
    change = (network(moved) - network(image)).abs()[0, 0]
    rows, columns = (change > 0.2 * change.max()).nonzero().float().mean(0)
    assert abs(rows - 20) <= 1 and abs(columns - 37) <= 1


@pytest.mark.parametrize("name", ["progressive", "unetr", "u-net"])
def test_exports_and_runs_in_bfloat16(name: str) -> None:
    network = NETWORKS[name]().eval()
    image = torch.randn(2, 3, SIDE, SIDE)
    program = torch.export.export(network, (image,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(image[:1]), network(image[:1]), atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(image).float()
    assert (half - network(image)).abs().max() < 0.3


def test_encoders_of_transformers_have_the_progressive_decoder_alone() -> None:
    config = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder: nn.Module = build_encoder({"kind": "transformers", "config": config}, image_size=SIDE)
    assert EncoderSegmenter(encoder, 1, widths=WIDTHS)(torch.zeros(2, 3, SIDE, SIDE)).shape == (2, 1, SIDE, SIDE)
    with pytest.raises(ValueError, match="TransformersImageEncoder does not give: use the progressive one"):
        EncoderSegmenter(encoder, 1, decoder="unetr", widths=WIDTHS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "unet"}, "got 'unet'"),
        ({"trained": "head"}, "got 'head'"),
        ({"widths": (8, 4)}, r"a stride of 16 needs 4 widths, got \[8, 4\]"),
        ({"decoder": "unetr", "shared": False}, "shared must be true"),
        ({"num_classes": 0}, "num_classes must be 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderSegmenter(vit(), **{"num_classes": 1, **options})


def test_strides_that_cannot_be_doubled_and_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="must be a power of 2 for a decoder that doubles, got 14"):
        EncoderSegmenter(vit(image_size=56, patch_size=14), 1)
    with pytest.raises(ValueError, match=r"multiples of 16, got \(60, 64\)"):
        EncoderSegmenter(resnet(), 1, widths=WIDTHS)(torch.zeros(1, 3, 60, 64))
    with pytest.raises(ValueError, match=r"a stride of 16 needs log2\(16\) widths and skips"):
        UNETRDecoder(8, 1, stride=16, skips=[(8, 16)], widths=(4,))
