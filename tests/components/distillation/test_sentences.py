# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import time

import pytest

from radbundles.components.distillation import RuleDistiller
from radbundles.components.distillation.sentences import split_sentences, words_of

OPTIONS = {"abbreviations": {"dr", "approx"}, "openers": {"no", "lungs"}, "headings": {"impression": "impression"}}


def sentences_of(text: str) -> list[str]:
    words, sentences = split_sentences(text, **OPTIONS)  # type: ignore[arg-type]
    return [" ".join(words.words[s.start : s.stop]) for s in sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["one", "two"]),
        ("It is 3.5 cm. Two.", ["it is 3.5 cm", "two"]),
        ("Seen by Dr. Who, approx. noon.", ["seen by dr who , approx noon"]),
        ("One.Two", ["one", "two"]),
        ("One; two! three", ["one", "two", "three"]),
        ("1. One. 2. Two.", ["1", "one", "2", "two"]),
        ("1) One 2) Two", ["1", "one 2", "two"]),
        ("wrapped\nline", ["wrapped line"]),
        ("wrapped\nXXXX line", ["wrapped xxxx line"]),
        ("a line\nAnother line", ["a line", "another line"]),
        ("a line\n\nanother", ["a line", "another"]),
        ("a line\n- bullet", ["a line", "- bullet"]),
        ("UPPER CASE\nIS WRAPPED", ["upper case is wrapped"]),
        ("Heart normal No edema", ["heart normal", "no edema"]),
        ("HEART NORMAL NO EDEMA", ["heart normal no edema"]),
        ("air-space disease - left", ["air space disease - left"]),
        ("right ? pleurisy", ["right ? pleurisy"]),
        ("Is it? Yes.", ["is it", "yes"]),
        ("IMPRESSION: none", ["none"]),
        (" . .. \n ", []),
        ("", []),
    ],
)
def test_text_is_cut_into_sentences(text: str, expected: list[str]) -> None:
    assert sentences_of(text) == expected


def test_offsets_point_into_the_text() -> None:
    text = "\u0130\u0130 Don't   split\n3.5 cm."
    words, _ = split_sentences(text)
    assert [text[a:b].lower() for a, b in zip(words.starts, words.ends, strict=True)] == words.words


def test_heading_gives_the_section_of_what_follows() -> None:
    _, sentences = split_sentences("One. IMPRESSION: two. three.", **OPTIONS)  # type: ignore[arg-type]
    assert [sentence.section for sentence in sentences] == [None, "impression", "impression"]


def test_lower_case_word_before_a_colon_is_no_heading() -> None:
    _, sentences = split_sentences("my impression: two.", **OPTIONS)  # type: ignore[arg-type]
    assert [sentence.section for sentence in sentences] == [None]


def test_phrases_are_cut_like_text() -> None:
    assert words_of("Air-Space disease") == words_of("air space DISEASE") == ["air", "space", "disease"]


@pytest.mark.parametrize(
    "unit",
    [
        "no ",
        "no effusion or ",
        "likely effusion ",
        "heart ",
        "heart , ",
        "normal ",
        "heart is ",
        "effusion / ",
        "effusion and small ",
        "history of effusion ",
        "calcified aorta ",
        "small ",
        " ",
        "\n",
        "- ",
        ". ",
        "1) ",
        "IMPRESSION: ",
        "? ",
        "not seen on ",
        "chronic obstructive pulmonary ",
        "\u00e9\u0301",
        "a",
        "1.",
    ],
)
def test_time_is_linear_for_hostile_text(unit: str) -> None:
    distiller = RuleDistiller()

    def seconds(repeats: int) -> float:
        text = unit * repeats
        began = time.process_time()
        distiller.distill({"text": text})
        return time.process_time() - began

    short = min(seconds(500) for _ in range(3))
    # Eight times the text: linear time takes eight times as long, quadratic time 64 times.
    assert min(seconds(4_000) for _ in range(2)) < 30 * max(short, 1e-3)
