# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from radbundles.components.zero_shot import DenseZeroShot, ScoreRule
from radbundles.networks import (
    DCXFM,
    CostAggregator,
    DCXFMDense,
    ImageTower,
    ResNetEncoder,
    TextTower,
    build_bert,
    prompt_channels,
)
from radbundles.transforms import FittedFrame

SIDE = 96


def quadrant(height: int, width: int, row: int, column: int) -> torch.Tensor:
    """An image [1, H, W], dark but for one of its four quadrants."""
    image = torch.full((1, height, width), 0.1)
    top, left = row * height // 2, column * width // 2
    image[:, top : top + height // 2, left : left + width // 2] = 0.9
    return image


def aggregator_of(tool: DenseZeroShot) -> Any:
    return tool.network.aggregator


@pytest.fixture(params=[False, True], ids=["plain", "guided"])
def real(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> DenseZeroShot:
    """A real network of a few thousand random weights, whose maps are not flat."""
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    dcxfm = DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 4, 8, 8), blocks=(1, 1, 1, 1)), dim=16),
        TextTower(build_bert(vocab_size=size, dim=16, layers=1, heads=2, max_length=80), dim=16),
    )
    guided: dict[str, Any] = {"appearance_dim": 8, "appearance_width": 4, "decoder_dims": (8, 4)}
    guided |= {"decoder_guidance_widths": (4, 4), "text_dim": 16, "text_width": 4}
    aggregator = CostAggregator(dim=16, heads=2, decoder_widths=(16, 16), **guided if request.param else {})
    network = DCXFMDense(dcxfm, aggregator)
    return DenseZeroShot(network, tokenizer=tokenizer, size=SIDE, prompts="chest", own_terms=True)


def noise(height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    return torch.rand(1, height, width, generator=torch.Generator().manual_seed(3))


def test_maps_are_the_logits_of_the_network(real: DenseZeroShot) -> None:
    classes = ["bright", "dark there", "no"]
    images = real.embed_image([noise(), noise().flip(-1)])
    maps, similarity = real.compare(images.features, phrases=["a dark", "bright", "is"], classes=classes)
    network = real.network.eval()
    pixels = torch.cat([noise(), noise().flip(-1)])[:, None].expand(-1, 3, -1, -1)

    def channels(texts: list[str], counts: list[int]) -> torch.Tensor:
        return prompt_channels(real.embed_text(texts), counts, 4)

    prompts = [real.prompts.prompts(name, own_term=True).positive for name in classes]
    with torch.no_grad():
        features = network.encode_image(pixels)
        together = network.aggregate(
            features, channels([text for one in prompts for text in one], [len(one) for one in prompts])
        )
        alone = [network.aggregate(features, channels([phrase], [1])) for phrase in ("a dark", "bright", "is")]
    torch.testing.assert_close(maps, torch.cat([*alone, together], dim=1), atol=1e-5, rtol=1e-5)
    cosines = F.normalize(features.cells.mean((2, 3)), dim=1) @ real.embed_text(["a dark", "bright", "is"]).T
    torch.testing.assert_close(similarity[:, :3], cosines, atol=1e-5, rtol=0)


def test_a_class_sees_the_others_and_a_phrase_does_not(real: DenseZeroShot) -> None:
    image = real.embed_image(noise())
    one = real.segment(image, ["bright"])["bright"].cells
    two = real.segment(image, ["bright", "dark"])
    assert list(two) == ["bright", "dark"] and (one - two["bright"].cells).abs().max() > 1e-6
    phrase = real.ground(image, ["bright"])[0].cells
    among = real.ground(image, ["dark", "bright", "no"])[1].cells
    torch.testing.assert_close(phrase, among, atol=1e-5, rtol=1e-5)
    other_way = real.segment(image, ["dark", "bright"])
    torch.testing.assert_close(other_way["bright"].cells, two["bright"].cells, atol=1e-5, rtol=1e-5)


def test_values_are_the_sigmoid_of_restored_logits(real: DenseZeroShot) -> None:
    found = real.segment(noise(150, 90), ["bright"])["bright"]
    logits = found.frame.to_original(found.cells)
    assert found.map.shape == (150, 90) and found.map.dtype == np.float32
    np.testing.assert_allclose(found.map, logits.sigmoid().numpy(), atol=1e-6)
    # Not the other way around: quirk Q26.
    assert np.abs(found.map - found.frame.to_original(found.cells.sigmoid()).numpy()).max() > 1e-6


@pytest.mark.parametrize(("height", "width"), [(256, 512), (600, 200), (300, 300), (70, 90)])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 1)])
def test_what_a_class_names_is_masked_in_original_pixels(
    known_dense: DenseZeroShot, height: int, width: int, row: int, column: int
) -> None:
    image = quadrant(height, width, row, column)
    found = known_dense.segment(image, ["Bright", "Dark"])
    truth = (image[0] > 0.5).numpy()
    for name, inside in (("Bright", truth), ("Dark", ~truth)):
        mask = found[name].mask
        assert mask.dtype == np.uint8 and mask.shape == (height, width) and set(np.unique(mask)) == {0, 1}
        cell = 8 * max(height, width) / 128
        border = cell * (height + width) / 2  # a cell along the inner border
        assert (mask.astype(bool) != inside).sum() <= border
    box, [y, x] = found["Bright"].boxes[0], [row * height / 2, column * width / 2]
    assert np.abs(box - [x, y, x + width / 2, y + height / 2]).max() <= cell
    assert 0.5 <= found["Bright"].scores[0] <= 1 and found["Bright"].peak == pytest.approx(found["Bright"].map.max())


def test_the_threshold_is_that_of_the_score_on_every_map(tokenizer: Tokenizer, known_dense: DenseZeroShot) -> None:
    maps, similarity = known_dense.compare(
        known_dense.encode_images(torch.full((1, 3, 128, 128), 0.9)), classes=["Bright", "Dark"]
    )
    found = known_dense.segmentations(maps[0], similarity[0], FittedFrame(64, 64, 128), ["Bright", "Dark"])
    assert found["Bright"].mask.all() and found["Bright"].boxes.tolist() == [[0, 0, 64, 64]]
    assert not found["Dark"].mask.any() and not len(found["Dark"].boxes)
    image = quadrant(128, 128, 0, 0)
    strict = DenseZeroShot(
        known_dense.network, tokenizer=tokenizer, size=128, prompts=known_dense.prompts, threshold=0.9
    )
    masks = [tool.segment(image, ["Bright"])["Bright"].mask.sum() for tool in (known_dense, strict)]
    assert 0 < masks[1] < masks[0]
    assert strict.segment(image, ["Bright"])["Bright"].place.threshold == 0.9


def test_all_prompts_are_used_and_texts_are_encoded_once(known_dense: DenseZeroShot) -> None:
    text: Any = known_dense.text
    image = known_dense.embed_image(quadrant(64, 64, 0, 0))
    known_dense.segment(image, ["Bright", "Dark"])
    known_dense.segment(image, ["Dark", "Bright"])
    known_dense.ground(image, ["there is bright"])
    assert (text.calls, text.sentences) == (1, 3)
    # "Half" has a bright and a dark prompt: each stands on two of the four channels.
    half = known_dense.segment(image, ["Half"])["Half"].cells
    parts = [one.cells for one in known_dense.ground(image, ["bright", "dark"])]
    torch.testing.assert_close(half, (parts[0] + parts[1]) / 2)


def test_phrases_of_all_images_are_aggregated_in_one_call(known_dense: DenseZeroShot) -> None:
    images = known_dense.embed_image([quadrant(64, 64, 0, 0), quadrant(64, 64, 1, 1), quadrant(64, 64, 1, 0)])
    maps, similarity = known_dense.compare(images.features, phrases=["bright", "dark"], classes=["Bright", "Dark"])
    assert aggregator_of(known_dense).asked == [(6, 1), (3, 2)]
    assert maps.shape == (3, 4, 64, 64) and similarity.shape == (3, 4)
    torch.testing.assert_close(maps[:, :2], maps[:, 2:])  # this aggregation does not look at other classes
    for place, one in enumerate(images):
        torch.testing.assert_close(known_dense.compare(one.features, phrases=["dark"]).maps[0, 0], maps[place, 1])


def test_many_phrases_are_aggregated_in_parts(known_dense: DenseZeroShot) -> None:
    images = known_dense.embed_image([quadrant(64, 64, 0, 0)] * 4)
    phrases = ["bright", "dark"] * 10
    maps = known_dense.compare(images.features, phrases=phrases).maps
    assert aggregator_of(known_dense).asked == [(32, 1), (32, 1), (16, 1)]  # 4 images of 256 cells: 8 phrases
    torch.testing.assert_close(maps[:, ::2], maps[:, :1].expand(-1, 10, -1, -1))


def test_similarity_is_the_cosine_of_the_towers_and_needs_no_aggregation(known_dense: DenseZeroShot) -> None:
    image = quadrant(128, 128, 0, 0)
    pooled = F.normalize(torch.tensor([0.3, 0.7]), dim=0).tolist()
    assert known_dense.classify(image, ["Bright", "Dark"]) == pytest.approx({"Bright": pooled[0], "Dark": pooled[1]})
    assert aggregator_of(known_dense).asked == []
    assert known_dense.ground(image, ["dark"])[0].similarity == pytest.approx(pooled[1])


def test_denials_are_not_asked_for(known_dense: DenseZeroShot) -> None:
    image = quadrant(64, 64, 0, 0)
    for ask in (known_dense.segment, known_dense.classify):
        with pytest.raises(ValueError, match="does not compare with denials: ask without negatives"):
            ask(image, ["Bright"], negatives=True)


@pytest.mark.parametrize("threshold", [0, 1, 1.5, math.nan])
def test_a_threshold_lies_between_0_and_1(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must lie between 0 and 1"):
        ScoreRule(threshold=threshold)


def test_the_network_stays_in_the_mode_it_was_in(real: DenseZeroShot) -> None:
    real.network.train()
    real.text.eval()
    real.segment(noise(), ["bright"])
    assert real.image.training and real.network.aggregator.training and not real.text.training


def test_bfloat16_gives_nearly_the_same(real: DenseZeroShot, tokenizer: Tokenizer) -> None:
    half = DenseZeroShot(real.network, tokenizer=tokenizer, size=SIDE, own_terms=True, amp=True)
    found, exact = (tool.segment(noise(), ["bright", "dark"])["dark"] for tool in (half, real))
    assert found.cells.dtype == torch.float32
    np.testing.assert_allclose(found.map, exact.map, atol=0.05)
    assert not np.array_equal(found.map, exact.map)


def test_maps_in_the_square_are_scores_of_interpolated_logits(known_dense: DenseZeroShot) -> None:
    features = known_dense.encode_images(quadrant(128, 128, 0, 0).expand(1, 3, -1, -1))
    maps = known_dense.compare(features, classes=["Bright"]).maps[0]
    square = known_dense.to_square(maps, 128)
    torch.testing.assert_close(square, FittedFrame(128, 128, 128).to_original(maps).sigmoid(), atol=1e-6, rtol=0)
