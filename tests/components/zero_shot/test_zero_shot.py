# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from PIL import Image
from tokenizers import Tokenizer

from radbundles.components.inference import RadiographRefused
from radbundles.components.zero_shot import BoxRule, ZeroShot, prompt_table


def quadrant(height: int, width: int, row: int, column: int) -> torch.Tensor:
    """An image [1, H, W], dark but for one of its four quadrants."""
    image = torch.full((1, height, width), 0.1)
    top, left = row * height // 2, column * width // 2
    image[:, top : top + height // 2, left : left + width // 2] = 0.9
    return image


def text_of(known: ZeroShot) -> Any:
    return known.text


def image_of(known: ZeroShot) -> Any:
    return known.image


@pytest.mark.parametrize(("height", "width"), [(256, 512), (600, 200), (300, 300)])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_a_phrase_names_is_found_in_original_pixels(
    known: ZeroShot, height: int, width: int, row: int, column: int
) -> None:
    [found] = known.ground(quadrant(height, width, row, column), ["bright"])
    top, left = row * height / 2, column * width / 2
    cell = 8 * max(height, width) / 128  # of the network, in original pixels
    assert len(found.boxes) == 1
    assert np.abs(found.boxes[0] - [left, top, left + width / 2, top + height / 2]).max() <= 1.5 * cell
    x, y = found.point
    assert left <= x <= left + width / 2 and top <= y <= top + height / 2
    assert found.map.shape == (height, width) and found.map.dtype == np.float32
    inside = found.map[int(top) : int(top + height / 2), int(left) : int(left + width / 2)]
    assert inside.mean() > found.map.mean() + 0.1
    # Away from the blurred border of the quadrant the map holds the cosine that the cells give.
    middle = found.map[int(top + height / 4), int(left + width / 4)]
    assert middle == pytest.approx(0.9 / math.hypot(0.9, 0.1), abs=0.05)


def test_point_box_and_map_agree(known: ZeroShot) -> None:
    [found] = known.ground(quadrant(256, 512, 1, 0), ["bright"])
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    assert found.map[int(found.point[1]), int(found.point[0])] == pytest.approx(found.map[row, column], abs=1e-3)
    assert found.peak == pytest.approx(found.map.max(), abs=1e-3)
    assert found.scores[0] == pytest.approx(found.peak)
    rows, columns = np.nonzero(found.mask)
    extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(found.boxes[0] - extent).max() <= 6


def test_an_empty_answer_has_no_box(tokenizer: Tokenizer, known: ZeroShot) -> None:
    image = quadrant(128, 128, 0, 0)
    strict = ZeroShot(known.network, tokenizer=tokenizer, size=128, boxes=BoxRule(floor=0.9999), smoothing=0)
    [found] = strict.ground(image, ["bright"])
    assert found.boxes.shape == (0, 4) and not found.mask.any()
    assert len(known.ground(image, ["bright"])[0].boxes) == 1


def test_groundings_come_in_the_order_of_the_phrases(known: ZeroShot) -> None:
    image = quadrant(128, 128, 0, 0)
    found = known.ground(image, ["dark", "bright", "dark"])
    assert [one.phrase for one in found] == ["dark", "bright", "dark"]
    assert np.array_equal(found[0].map, found[2].map)
    pooled = F.normalize(torch.tensor([0.3, 0.7]), dim=0).tolist()
    assert [one.similarity for one in found] == pytest.approx([pooled[1], pooled[0], pooled[1]], abs=1e-3)


def test_each_text_is_encoded_once(known: ZeroShot) -> None:
    image = quadrant(64, 64, 0, 0)
    text = text_of(known)
    known.ground(image, ["bright", "dark", "bright"])
    assert (text.calls, text.sentences) == (1, 2)
    known.ground(image, ["dark", "bright"])
    assert text.calls == 1
    known.ground(image, ["dark", "a dark"])
    assert (text.calls, text.sentences) == (2, 3)
    known.clear_cache()
    known.ground(image, ["dark"])
    assert (text.calls, text.sentences) == (3, 4)


def test_new_weights_of_the_text_tower_empty_the_cache(known: ZeroShot) -> None:
    before = known.embed_text(["bright"])
    state = {key: value.flip(-1) for key, value in text_of(known).state_dict().items()}
    text_of(known).load_state_dict(state)
    after = known.embed_text(["bright"])
    assert not torch.equal(before, after) and text_of(known).calls == 2


def test_a_small_cache_still_answers_for_many_texts(tokenizer: Tokenizer, known: ZeroShot) -> None:
    small = ZeroShot(known.network, tokenizer=tokenizer, size=128, cache_size=2)
    texts = ["bright", "dark", "a bright", "a dark", "bright"]
    torch.testing.assert_close(small.embed_text(texts), known.embed_text(texts))
    calls = text_of(known).calls
    small.embed_text(["a dark"])
    assert text_of(known).calls == calls  # kept, as one of the last two
    small.embed_text(["dark"])
    assert text_of(known).calls == calls + 1


def test_an_image_is_encoded_once_for_several_questions(known: ZeroShot) -> None:
    embedding = known.embed_image([quadrant(64, 64, 0, 0), quadrant(64, 96, 1, 1)])
    assert embedding.cells.shape == (2, 2, 16, 16) and embedding.pooled.shape == (2, 2)
    for one in embedding:
        known.ground(one, ["bright"])
        known.segment(one, ["Bright"])
        known.classify(one, ["Bright"])
    assert image_of(known).calls == 1
    assert known.ground(embedding[1], ["bright"])[0].map.shape == (64, 96)
    with pytest.raises(ValueError, match="one image is asked at a time, got 2"):
        known.ground(embedding, ["bright"])


def test_a_class_is_the_mean_over_all_its_prompts(known: ZeroShot) -> None:
    image = quadrant(128, 128, 0, 1)
    parts = known.ground(image, ["bright", "dark"])
    half = known.segment(image, ["Half"])["Half"]
    np.testing.assert_allclose(half.map, (parts[0].map + parts[1].map) / 2, atol=1e-5)
    assert half.similarity == pytest.approx((parts[0].similarity + parts[1].similarity) / 2, abs=1e-5)
    scores = known.classify(image, ["Half", "Dark"])
    assert scores["Half"] == pytest.approx(half.similarity) and list(scores) == ["Half", "Dark"]


def test_with_denials_a_map_is_a_softmax_and_a_score_a_geometric_mean(known: ZeroShot) -> None:
    image = torch.full((1, 128, 128), 0.6)
    image[:, :, 64:] = 0.7  # not blank
    cosine = known.ground(image, ["bright"])[0]
    # The denied prompt is the opposite vector, so that the two maps differ by twice the cosine.
    answer = known.segment(image, ["Bright"], negatives=True)["Bright"]
    place = (64, 20)
    two = torch.tensor([cosine.map[place], -cosine.map[place]]) / 0.5
    assert answer.map[place] == pytest.approx(two.softmax(0)[0].item(), abs=1e-4)
    pair = torch.tensor([cosine.similarity, -cosine.similarity]) / 0.2
    assert known.classify(image, ["Bright"], negatives=True)["Bright"] == pytest.approx(pair.softmax(0)[0].item())
    assert answer.place.threshold >= 0.5


def test_a_class_without_denial_cannot_be_compared_with_it(known: ZeroShot) -> None:
    with pytest.raises(ValueError, match="no negative prompts for Half"):
        known.classify(quadrant(64, 64, 0, 0), ["Bright", "Half"], negatives=True)


def test_a_mask_is_of_the_image(known: ZeroShot) -> None:
    found = known.segment(quadrant(200, 120, 1, 1), ["Bright", "Dark"])
    bright, dark = found["Bright"].mask, found["Dark"].mask
    assert bright.dtype == np.uint8 and bright.shape == (200, 120) and set(np.unique(bright)) == {0, 1}
    assert bright[150, 90] == 1 and bright[50, 30] == 0
    assert dark[150, 90] == 0 and dark[50, 30] == 1


def test_images_come_from_files_arrays_and_tensors_alike(known: ZeroShot, tmp_path: Path) -> None:
    image = (quadrant(96, 64, 0, 1) * 255).round() / 255
    pixels = (image[0] * 255).round().to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "image.png")
    sources: list[Any] = [
        tmp_path / "image.png",
        str(tmp_path / "image.png"),
        image,
        image[0].numpy(),
        pixels,
        pixels.numpy(),
    ]
    cells = known.embed_image(sources).cells
    for one in cells[1:]:
        torch.testing.assert_close(one, cells[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(3, 8, 8), r"\[H, W\] or \[1, H, W\], got \(3, 8, 8\)"),
        (torch.rand(1, 8, 8) * 255, r"values in \[0, 1\]"),
        (torch.full((1, 8, 8), math.nan), r"values in \[0, 1\]"),
        (torch.ones(1, 8, 8, dtype=torch.int16), "int16"),
    ],
)
def test_arrays_of_another_shape_or_range_are_refused(known: ZeroShot, image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        known.embed_image(image)


def test_what_makes_an_answer_doubtful_is_told_or_the_image_refused(known: ZeroShot) -> None:
    lateral = MetaTensor(quadrant(96, 96, 0, 0), meta={"view": "LL"})
    with pytest.raises(RadiographRefused, match="left lateral"):
        known.embed_image(lateral)
    with pytest.raises(RadiographRefused, match="blank"):
        known.embed_image(torch.full((1, 96, 96), 0.5))
    embedding = known.embed_image([quadrant(96, 96, 0, 0), quadrant(64, 192, 0, 0)])
    assert [[concern.kind for concern in one] for one in embedding.concerns] == [[], ["elongated"]]
    assert embedding[1].concerns == embedding.concerns[1:]


@pytest.mark.parametrize("phrases", [[], "bright"])
def test_phrases_are_a_list(known: ZeroShot, phrases: list[str]) -> None:
    with pytest.raises(ValueError, match="list of at least one"):
        known.ground(quadrant(64, 64, 0, 0), phrases)


def test_a_phrase_of_unknown_words_is_refused(known: ZeroShot) -> None:
    with pytest.raises(ValueError, match="no word of '肺炎'"):
        known.ground(quadrant(64, 64, 0, 0), ["bright", "肺炎"])


def test_a_class_that_the_table_lacks_is_its_own_term_when_asked(tokenizer: Tokenizer, known: ZeroShot) -> None:
    image = quadrant(64, 64, 0, 0)
    with pytest.raises(KeyError, match="no class 'a bright'"):
        known.classify(image, ["a bright"])
    own = ZeroShot(known.network, tokenizer=tokenizer, size=128, prompts=known.prompts, own_terms=True)
    assert own.classify(image, ["a bright"])["a bright"] == pytest.approx(known.classify(image, ["Bright"])["Bright"])


def test_the_network_stays_in_the_mode_it_was_in(known: ZeroShot) -> None:
    known.network.train()
    known.ground(quadrant(64, 64, 0, 0), ["bright"])
    assert image_of(known).training and text_of(known).training


def test_bfloat16_gives_nearly_the_same(tokenizer: Tokenizer, known: ZeroShot) -> None:
    image = quadrant(128, 128, 0, 0)
    half = ZeroShot(known.network, tokenizer=tokenizer, size=128, amp=True, smoothing=0.5)
    found = half.ground(image, ["bright"])[0]
    assert found.cells.dtype == torch.float32
    np.testing.assert_allclose(found.map, known.ground(image, ["bright"])[0].map, atol=0.02)


def test_the_chest_table_is_the_default(tokenizer: Tokenizer, known: ZeroShot) -> None:
    assert ZeroShot(known.network, tokenizer=tokenizer).prompts.classes == prompt_table("chest").classes
