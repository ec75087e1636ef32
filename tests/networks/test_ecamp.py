# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.losses import ECAMPObjective
from radbundles.networks import ECAMP

Inputs = dict[str, torch.Tensor]


def test_outputs_have_the_promised_shapes(network: ECAMP, inputs: Inputs) -> None:
    shapes = {key: tuple(value.shape) for key, value in network(**inputs).items()}
    assert shapes == {
        "target": (3, 3, 64, 64),
        "latent": (3, 1 + 4, 24),
        "mask": (3, 16),
        "reconstruction": (3, 3, 64, 64),
        "super_resolution": (3, 3, 128, 128),
        "logits": (3, 16, 50),
    }


def test_full_size_network_has_the_official_parameters() -> None:
    with torch.device("meta"):
        network = ECAMP()
    # 350 keys and 183,455,240 elements less the pooler and the second copy of the output bias.
    assert len(network.state_dict()) == 350 - 3
    elements = sum(tensor.numel() for tensor in network.state_dict().values())
    assert elements == 183_455_240 - (768 * 768 + 768) - 30_000
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert trained == 183_173_080 - (768 * 768 + 768)


def test_every_trained_parameter_gets_a_gradient(network: ECAMP, inputs: Inputs) -> None:
    """DistributedDataParallel stops at the second step otherwise."""
    masked = torch.zeros(3, 16, dtype=torch.bool)
    masked[:, 2:4] = True
    batch = inputs | {
        "labels": inputs["input_ids"],
        "token_weights": torch.ones(3, 16),
        "masked": masked,
        "window": torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(3, 1),
    }
    ECAMPObjective(network.train())(batch)["loss"].backward()
    without = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    still = {name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()}
    # A bias added to all keys alike does not change a softmax; rounding may leave it exactly zero.
    assert all(name.endswith("key.bias") for name in still)


def test_same_noise_gives_the_same_outputs(network: ECAMP, inputs: Inputs) -> None:
    first, second = network(**inputs), network(**inputs)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_masking_is_drawn_anew_without_noise(network: ECAMP, inputs: Inputs) -> None:
    del inputs["noise"]
    assert not torch.equal(network(**inputs)["mask"], network(**inputs)["mask"])


@pytest.mark.parametrize(("ratio", "hidden"), [(0.0, 0), (0.5, 8), (0.9, 15)])
def test_mask_ratio_is_obeyed(tiny: dict[str, Any], inputs: Inputs, ratio: float, hidden: int) -> None:
    network = ECAMP(**tiny, mask_ratio=ratio)
    assert network(**inputs)["mask"].sum(dim=1).tolist() == [hidden] * 3


def test_reports_trimmed_to_the_longest_give_the_same_words(network: ECAMP, inputs: Inputs) -> None:
    padded = {key: F.pad(inputs[key], (0, 8)) for key in ("input_ids", "attention_mask")}
    trimmed = network(**inputs)["logits"]
    untrimmed = network(**inputs | padded)["logits"]
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(untrimmed[:, :16][real], trimmed[real])


def test_padding_ids_do_not_matter(network: ECAMP, inputs: Inputs) -> None:
    real = inputs["attention_mask"].bool()
    other = torch.where(real, inputs["input_ids"], 7)
    changed = network(**inputs | {"input_ids": other})["logits"]
    torch.testing.assert_close(changed[real], network(**inputs)["logits"][real])


def test_logits_at_positions_are_the_full_logits_there(network: ECAMP, inputs: Inputs) -> None:
    positions = torch.rand(3, 16) < 0.4
    full = network(**inputs)["logits"]
    torch.testing.assert_close(network(**inputs, positions=positions)["logits"], full[positions])


def test_no_position_at_all_is_fine(network: ECAMP, inputs: Inputs) -> None:
    logits = network(**inputs, positions=torch.zeros(3, 16, dtype=torch.bool))["logits"]
    assert logits.shape == (0, 50)


def test_order_of_noise_does_not_matter_when_nothing_is_hidden(tiny: dict[str, Any], inputs: Inputs) -> None:
    network = ECAMP(**tiny, mask_ratio=0.0).eval()
    first, second = network(**inputs), network(**inputs | {"noise": inputs["noise"].flip(1)})
    torch.testing.assert_close(first["reconstruction"], second["reconstruction"])
    torch.testing.assert_close(first["logits"], second["logits"])


def test_encoding_is_in_grid_order(tiny: dict[str, Any], inputs: Inputs) -> None:
    network = ECAMP(**tiny, mask_ratio=0.0).eval()
    latent = network(**inputs)["latent"]  # in the order of the noise
    features = network.encode(inputs["image"])
    torch.testing.assert_close(features["cls"], latent[:, 0])
    restore = inputs["noise"].argsort(dim=1).argsort(dim=1)
    for row in range(3):
        torch.testing.assert_close(features["patches"][row], latent[row, 1:][restore[row]])


def test_cross_attention_is_in_grid_order(network: ECAMP, inputs: Inputs) -> None:
    """A token that is made to look for one patch must find it where that patch lies."""
    text = (inputs["input_ids"], inputs["attention_mask"])
    attention = network.cross_attention(inputs["image"], *text)
    assert attention.shape == (3, 5, 16, 4, 4)
    torch.testing.assert_close(attention.sum(dim=(3, 4)), torch.ones(3, 5, 16))
    cross = network.text.fusion.cross_attention
    visual = network.visual_projection(network.encode(inputs["image"])["patches"])
    for cell in (1, 6, 11):
        key = cross.key(visual)[0, cell]
        rest = cross.key(visual)[0].mean(dim=0)
        with torch.no_grad():
            cross.query.weight.zero_()
            cross.query.bias.copy_(1e3 * (key - rest))
        found = network.cross_attention(inputs["image"], *text)[0].mean(dim=(0, 1)).flatten().argmax()
        assert found == cell


def test_image_halved_by_bicubic_without_antialiasing(network: ECAMP) -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[..., ::2] = 1.0  # the finest stripes
    # Keys' cubic (a = -0.75) half way between samples: weights -3/32, 19/32, 19/32, -3/32.
    torch.testing.assert_close(network.halve(image)[..., 4:-4], torch.full((1, 3, 64, 56), 0.5))
    image = torch.zeros(1, 3, 128, 128)
    image[..., 64, 64] = 1.0
    halved = network.halve(image)[0, 0]
    torch.testing.assert_close(halved[32, 31:34], torch.tensor([-3.0, 19.0, 0.0]) / 32 * 19 / 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(3, 3, 64, 64)}, r"\[B, 3, 128, 128\], got \(3, 3, 64, 64\)"),
        ({"attention_mask": torch.ones(3, 8)}, r"\(3, 16\) and \(3, 8\)"),
        ({"input_ids": torch.ones(3, 25).long(), "attention_mask": torch.ones(3, 25)}, "25 tokens .* max_length 24"),
        ({"noise": torch.zeros(3, 196)}, r"noise must be \[3, 16\], got \(3, 196\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(network: ECAMP, inputs: Inputs, change: Inputs, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**inputs | change)


@pytest.mark.parametrize("change", [{"image_size": 120}, {"mask_ratio": 1.0}, {"mask_ratio": 0.99}, {"heads": 5}])
def test_sizes_that_do_not_fit_are_named(tiny: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(change.values())))):
        ECAMP(**tiny | change)


def test_bfloat16_autocast_stays_near_float32(network: ECAMP, inputs: Inputs) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(**inputs)
    full = network(**inputs)
    for key in ("reconstruction", "super_resolution", "logits"):
        torch.testing.assert_close(mixed[key].float(), full[key], atol=0.1, rtol=0.1)


@pytest.mark.parametrize("somewhere", [False, True])
def test_network_compiles_into_one_graph(network: ECAMP, inputs: Inputs, somewhere: bool) -> None:
    if somewhere:
        inputs["positions"] = inputs["attention_mask"].bool()
    torch.compiler.reset()
    # The number of positions is only known from their values.
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(network, backend="eager", fullgraph=True)(**inputs)
    expected = network(**inputs)
    assert all(torch.equal(compiled[key], expected[key]) for key in expected)


def test_new_weights_follow_the_official_initializer() -> None:
    torch.manual_seed(0)
    network = ECAMP(image_size=64, depth=1, decoder_depth=1, text_layers=1, vocab_size=6000)
    weights = network.state_dict()
    query = "text.encoder.layer.0.attention.self.query"
    assert weights[f"{query}.weight"].std() == pytest.approx((2 / (768 + 768)) ** 0.5, rel=0.02)
    assert not weights[f"{query}.bias"].any()
    assert weights["head.decoder.weight"].std() == pytest.approx((2 / (768 + 6000)) ** 0.5, rel=0.02)
    assert weights["encoder.patch_embed.proj.weight"].std() == pytest.approx((2 / (768 + 768)) ** 0.5, rel=0.02)
    words = weights["text.embeddings.word_embeddings.weight"]
    assert words[1:].std() == pytest.approx(0.02, rel=0.02) and not words[0].any()
    for token in ("encoder.cls_token", "decoder.mask_token"):
        assert weights[token].std() == pytest.approx(0.02, rel=0.15)
    assert not torch.equal(weights["head.decoder.weight"], words)


@pytest.mark.gpu
def test_cuda_gives_the_numbers_of_the_cpu(network: ECAMP, inputs: Inputs) -> None:
    expected = network(**inputs)
    actual = network.cuda()(**{key: value.cuda() for key, value in inputs.items()})
    for key, value in expected.items():
        torch.testing.assert_close(actual[key].cpu(), value, atol=1e-3, rtol=1e-3)
