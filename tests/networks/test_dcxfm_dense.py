# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks import (
    DCXFM,
    CostAggregator,
    DCXFMDense,
    ImageTower,
    ResNetEncoder,
    SwinEncoder,
    TextTower,
    build_bert,
)

DIM = 8
GUIDED: dict[str, Any] = {
    "appearance_dim": 40,
    "appearance_width": 6,
    "decoder_dims": (32, 24),
    "decoder_guidance_widths": (3, 2),
}


def network(encoder: nn.Module | None = None, **options: Any) -> DCXFMDense:
    torch.manual_seed(0)
    encoder = encoder or ResNetEncoder(50, widths=(4, 6, 8, 10), blocks=(1, 1, 1, 1))
    text = TextTower(build_bert(vocab_size=40, dim=16, layers=1, heads=2, dropout=0.0), dim=DIM)
    aggregator = CostAggregator(**{"dim": 16, "prompt_channels": 2, "heads": 2, "window": 4} | options)
    return DCXFMDense(DCXFM(ImageTower(encoder, dim=DIM), text), aggregator).eval()


def inputs(side: tuple[int, int] = (128, 96)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, *side, generator=generator), torch.randn(3, 2, DIM, generator=generator)


@pytest.mark.parametrize("options", [{}, GUIDED])
def test_logits_have_the_size_of_the_image(options: dict[str, Any]) -> None:
    model, (image, prompts) = network(**options), inputs()
    logits = model(image, prompts)
    assert logits.shape == (2, 3, 128, 96) and logits.dtype == torch.float32
    features = model.encode_image(image)
    small = model.aggregate(features, prompts)
    assert small.shape == (2, 3, 16, 12)
    torch.testing.assert_close(logits, F.interpolate(small, size=(128, 96), mode="bilinear", align_corners=False))


def test_without_guidance_nothing_but_cells_is_kept() -> None:
    model, (image, _) = network(), inputs()
    features = model.encode_image(image)
    assert features.guidance == () and torch.equal(features.cells, model.dcxfm(image))


def test_guidance_is_the_encoders_stages_from_coarse_to_fine() -> None:
    model, (image, _) = network(**GUIDED), inputs()
    cells, guidance = model.encode_image(image)
    stages: list[torch.Tensor] = model.image.encoder.stages(image)  # type: ignore[operator]
    assert torch.equal(cells, model.image(image))
    assert all(torch.equal(a, b) for a, b in zip(guidance, stages[::-1][:3], strict=True))
    assert [tuple(each.shape[1:]) for each in guidance] == [(40, 4, 3), (32, 8, 6), (24, 16, 12)]


def test_stages_that_nothing_uses_are_not_kept() -> None:
    model, (image, prompts) = network(appearance_dim=40, appearance_width=6), inputs()
    assert len(model.encode_image(image).guidance) == 1
    assert model(image, prompts).shape == (2, 3, 128, 96)


def test_guidance_is_resized_where_strides_round_up() -> None:
    model, (image, prompts) = network(**GUIDED), inputs((100, 70))
    sizes = [tuple(each.shape[2:]) for each in model.encode_image(image).guidance]
    assert sizes == [(4, 3), (8, 6), (16, 12)]
    assert model(image, prompts).shape == (2, 3, 100, 70)


def test_one_encoding_serves_many_questions() -> None:
    model, (image, prompts) = network(), inputs()
    features = model.encode_image(image)
    whole = F.interpolate(model.aggregate(features, prompts[:2]), size=(128, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(whole, model(image, prompts[:2]))


def test_all_but_the_text_tower_gets_a_gradient() -> None:
    model, (image, prompts) = network(**GUIDED).train(), inputs()
    model(image, prompts).square().mean().backward()
    idle = {name.split(".")[1] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert idle == {"text"}


def test_parts_are_named_as_in_the_state_dict() -> None:
    model = network()
    assert {key.split(".")[0] for key in model.state_dict()} == {"dcxfm", "aggregator"}
    assert model.image is model.dcxfm.image and model.text is model.dcxfm.text and model.dim == DIM


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        (SwinEncoder(dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1)), GUIDED, "SwinEncoder has no stages"),
        (None, GUIDED | {"appearance_dim": 41}, r"wants guidance of \[41, 32, 24\] .* \[40, 32, 24, 16\]"),
        (ResNetEncoder(18, widths=(24, 32)), GUIDED | {"appearance_dim": 32, "decoder_dims": (24, 3)}, r"\[32, 24\]$"),
    ],
)
def test_guidance_that_the_encoder_cannot_give_is_refused(
    encoder: nn.Module | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network(encoder, **options)
