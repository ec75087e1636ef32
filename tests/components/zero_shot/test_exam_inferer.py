# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""An exam asks each image its own questions, whichever stage answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.components.metrics import grounding_scores
from radbundles.components.zero_shot import DenseZeroShot, ExamInferer, ZeroShot

SIZE = 128


def batch() -> dict[str, Any]:
    """Two images, each bright in another half; the first is asked two phrases, the second a region."""
    image = torch.full((2, 3, SIZE, SIZE), 0.1)
    image[0, :, : SIZE // 2] = 0.9
    image[1, :, :, SIZE // 2 :] = 0.9
    bright = image[:, 0] > 0.5
    none = torch.zeros(0, SIZE, SIZE, dtype=torch.bool)
    return {
        "image": image,
        "phrases": [["dark", "bright"], []],
        "phrase_groups": [["other phrase"] * 2, []],
        "phrase_masks": [torch.stack([~bright[0], bright[0]]), none],
        "regions": [[], ["Dark"]],
        "region_masks": [none, ~bright[1:]],
    }


@pytest.mark.parametrize("stage", ["known", "known_dense"])
def test_answers_are_those_of_single_questions(stage: str, request: pytest.FixtureRequest) -> None:
    tool: ZeroShot = request.getfixturevalue(stage)
    inputs = batch()
    found = ExamInferer(tool, classes=["Bright", "Dark"])(inputs, tool.network)
    assert [maps.shape for maps in found["grounding"]["maps"]] == [(2, SIZE, SIZE), (0, SIZE, SIZE)]
    assert [maps.shape for maps in found["segmentation"]["maps"]] == [(0, SIZE, SIZE), (1, SIZE, SIZE)]
    assert found["grounding"]["groups"] == [["other phrase"] * 2, []]
    assert found["segmentation"]["groups"] == [[], ["Dark"]]
    cells = tool.encode_images(inputs["image"])
    alone = tool.compare(cells, phrases=["dark", "bright"])
    for maps, phrase in zip(found["grounding"]["maps"][0], range(2), strict=True):
        values = F.interpolate(alone.maps[:1, phrase : phrase + 1], (SIZE, SIZE), mode="bilinear")[0, 0]
        torch.testing.assert_close(maps, values.sigmoid() if tool.logits else values, atol=1e-5, rtol=1e-5)
    classes = tool.compare(cells, classes=["Bright", "Dark"])
    torch.testing.assert_close(found["scores"], classes.similarity, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found["segmentation"]["maps"][1], tool.to_square(classes.maps[1, 1:], SIZE), atol=1e-5, rtol=1e-5
    )


def test_scores_lie_on_the_scale_of_plain_dice(known_dense: DenseZeroShot) -> None:
    inputs = batch()
    found = ExamInferer(known_dense, classes=["Bright", "Dark"])(inputs, known_dense.network)
    for task, row in (("grounding", 0), ("segmentation", 1)):
        answer = found[task]
        assert (grounding_scores(answer["maps"][row], answer["masks"][row], "half")["dice"] > 0.9).all()


def test_an_image_is_asked_for_its_own_phrases_only(known_dense: DenseZeroShot) -> None:
    aggregator: Any = known_dense.network.aggregator
    ExamInferer(known_dense)(batch() | {"regions": [[], []]}, known_dense.network)
    assert aggregator.asked == [(2, 1)]  # two phrases, and not for both images
    text: Any = known_dense.text
    assert text.calls == 1


def test_denials_are_refused_before_the_exam(known_dense: DenseZeroShot, known: ZeroShot) -> None:
    with pytest.raises(ValueError, match="does not compare with denials"):
        ExamInferer(known_dense, classes=["Bright"], negatives=True)
    with pytest.raises(ValueError, match="no negative prompts for Half"):
        ExamInferer(known, classes=["Half"], negatives=True)
