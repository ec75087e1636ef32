# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distilled sentences inside a report."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from radbundles.transforms import InsertDistilledd, insert_distilled, insert_distilled_official
from radbundles.transforms.insert_distilled import sentence_boundaries

REPORT = "A 3.5 cm mass is seen. Lungs are clear."
DISTILLED = "There is a mass."


def seeded(seed: int, **arguments: Any) -> InsertDistilledd:
    transform = InsertDistilledd(**arguments)
    transform.set_random_state(seed)
    return transform


def results(report: str, draws: int = 200, **arguments: Any) -> set[str]:
    state = np.random.RandomState(0)
    return {insert_distilled(report, DISTILLED, state, **arguments) for _ in range(draws)}


def test_sentences_go_in_before_between_and_after_but_never_into_a_number() -> None:
    assert results(REPORT, prob=1.0) == {
        "There is a mass. A 3.5 cm mass is seen. Lungs are clear.",
        "A 3.5 cm mass is seen. There is a mass. Lungs are clear.",
        "A 3.5 cm mass is seen. Lungs are clear. There is a mass.",
    }


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Clear.Heart normal.", ["Clear.", "Heart normal."]),
        ("1. No change. 2. Clear.", ["1. No change.", " 2. Clear."]),
        ("T.B. is seen, e.g. apical. Clear", ["T.B. is seen, e.g. apical.", " Clear"]),
        ("Clear.. Normal", ["Clear..", " Normal"]),
        ("Is it clear? Yes", ["Is it clear?", " Yes"]),
        ("", []),
    ],
)
def test_boundaries_are_the_ends_of_sentences(text: str, sentences: list[str]) -> None:
    offsets = sentence_boundaries(text)
    assert [text[a:b] for a, b in zip(offsets, offsets[1:], strict=False) if a < b] == sentences


def test_official_rule_cuts_decimals() -> None:
    generator = random.Random(0)
    texts = {insert_distilled_official(REPORT, DISTILLED, generator, 1.0) for _ in range(200)}
    assert "A 3.There is a mass.5 cm mass is seen. Lungs are clear." in texts
    assert not any(".." in text for text in texts)


def test_official_rule_draws_once_for_whether_and_once_for_where() -> None:
    class Script(random.Random):
        def __init__(self) -> None:
            super().__init__(0)
            self.calls: list[Any] = []

        def random(self) -> float:
            self.calls.append("random")
            return 0.79

        def randint(self, a: int, b: int) -> int:
            self.calls.append((a, b))
            return b

    script = Script()
    assert insert_distilled_official("One. Two.", " X.", script) == "One. Two. X."
    assert script.calls == ["random", (0, 3)]


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_text_goes_in_with_the_stated_probability(mode: str) -> None:
    transform = seeded(0, mode=mode)
    item: dict[Any, Any] = {"text": REPORT, "distilled": DISTILLED}
    share = np.mean([DISTILLED in transform(item)["text"] for _ in range(4000)])
    assert share == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("mode", ["paper", "official"])
@pytest.mark.parametrize("nothing", [None, float("nan"), "", " "])
def test_nothing_distilled_leaves_the_words_as_they_are(mode: str, nothing: object) -> None:
    transform = seeded(0, mode=mode, prob=1.0)
    texts = {transform({"text": "One. Two.", "distilled": nothing})["text"] for _ in range(20)}
    assert {text.replace(" ", "").replace("..", ".") for text in texts} == {"One.Two."}


def test_missing_stops_are_added_around_the_sentences() -> None:
    assert "Clear. There is a mass." in results("Clear", prob=1.0)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_same_state_gives_the_same_text(mode: str) -> None:
    item: dict[Any, Any] = {"text": REPORT, "distilled": DISTILLED}
    ranges = (range(20), range(20), range(20, 40))
    first, again, other = ([seeded(seed, mode=mode)(item)["text"] for seed in seeds] for seeds in ranges)
    assert first == again != other


def test_item_without_distilled_text_is_refused_with_its_id() -> None:
    with pytest.raises(KeyError, match="case-7.*radbundles distill"):
        InsertDistilledd()({"id": "case-7", "text": REPORT})


@pytest.mark.parametrize(("arguments", "message"), [({"mode": "offical"}, "'offical'"), ({"prob": 1.5}, "1.5")])
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InsertDistilledd(**arguments)
