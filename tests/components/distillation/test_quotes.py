# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radbundles.components.distillation.quotes import QuoteFinder

TEXTS = [
    "Small left effusion.\nNo  pneumothorax \u2013 or \u201cmass\u201d.",
    "Massive effusions; T12 fracture. No mass.",
]


def quoted(texts: list[str], quote: str) -> str | None:
    span = QuoteFinder(texts).find(quote)
    return None if span is None else f"{span.place}:{texts[span.place][span.start : span.end]}"


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("left effusion", "0:left effusion"),
        ("effusions", "1:effusions"),
        ("small LEFT effusion", "0:Small left effusion"),
        ("effusion. no pneumothorax", "0:effusion.\nNo  pneumothorax"),
        ("No\tpneumothorax - or 'mass'", None),  # a quotation mark of another kind
        ('No pneumothorax - or "mass"', "0:No  pneumothorax \u2013 or \u201cmass"),
        ("left effusion.", "0:left effusion"),
        ('"left effusion..."', "0:left effusion"),
        ("No mass", "1:No mass"),
        ("T12", "1:T12"),
    ],
)
def test_a_quote_is_found_but_for_case_space_and_typography(quote: str, found: str | None) -> None:
    assert quoted(TEXTS, quote) == found


def test_letter_for_letter_comes_before_an_earlier_place_that_differs_in_case() -> None:
    assert quoted(["EDEMA of the lung", "no edema"], "edema") == "1:edema"


@pytest.mark.parametrize(
    "quote", ["", " ", ".", "...", "\u00a0", "-", "\u2013", "right effusion", "effusion left", "x"]
)
def test_what_the_report_does_not_say_is_not_found(quote: str) -> None:
    assert quoted(TEXTS, quote) is None


@pytest.mark.parametrize(
    ("text", "quote", "is_found"),
    [
        ("two nodules", "nodule", True),
        ("massive effusion", "mass", False),
        ("a micronodule", "nodule", False),
        ("T12", "T1", False),
        ("kleiner Erguss", "klein", True),
        ("a mass, and massive", "mass", True),
        ("massive mass", "mass", True),
        ("\u53f3\u4fa7\u80f8\u8154\u79ef\u6db2", "\u80f8\u8154\u79ef\u6db2", True),  # "pleural effusion on the right"
    ],
)
def test_a_quote_keeps_to_whole_words(text: str, quote: str, is_found: bool) -> None:
    assert (quoted([text], quote) is not None) == is_found


def test_letters_whose_lower_case_is_longer_leave_the_offsets_alone() -> None:
    assert quoted(["\u0130\u0130 Small  effusion"], "small effusion") == "0:Small  effusion"
    assert quoted(["\u039f\u0394\u039f\u03a3 x"], "\u03bf\u03b4\u03bf\u03c3") == "0:\u039f\u0394\u039f\u03a3"


def test_words_are_lower_case_with_single_spaces() -> None:
    finder = QuoteFinder(["LEFT\n  Lower lobe"])
    span = finder.find("left lower")
    assert span is not None
    assert finder.words(span) == "left lower"


def plain(text: str) -> str:
    """The same words mean the same, written without the tricks of the code under test."""
    text = re.sub(r"[\u2010-\u2014\u2212]", "-", re.sub(r"[\u201c\u201d\u201e\u00ab\u00bb]", '"', text))
    text = re.sub(r"[\u2018\u2019\u201a\u2032`\u00b4]", "'", text)
    text = "".join(c.lower() if len(c.lower()) == 1 else c for c in text).replace("\u03c2", "\u03c3")
    return re.sub(r"\s+", " ", text)


WORDS = st.text(alphabet="aBc.- \n\t\u00a0\u2013\u201c\u00e4\u00df\u0130\u03a3\u8154\u03c21", max_size=30)


@settings(deadline=None)
@given(texts=st.lists(WORDS, max_size=3), quote=WORDS)
@example(texts=["A \u0130b"], quote="a \u0130B")
def test_what_is_found_equals_the_quote(texts: list[str], quote: str) -> None:
    span = QuoteFinder(texts).find(quote)
    if span is not None:
        assert 0 <= span.start < span.end <= len(texts[span.place])
        found = plain(texts[span.place][span.start : span.end])
        assert found in plain(quote)
        around = plain(quote).replace(found, "", 1)
        assert not any(map(str.isalnum, around))


@settings(deadline=None)
@given(words=st.lists(st.text(alphabet="abcAB\u00e4", min_size=1, max_size=5), min_size=1, max_size=8), data=st.data())
def test_whole_words_of_the_text_are_found_however_they_are_spaced_and_cased(
    words: list[str], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    quote = "\n".join(words[first:last])
    finder = QuoteFinder(["  ".join(words)])
    span = finder.find(data.draw(st.sampled_from([quote, quote.upper(), quote.lower(), quote.swapcase()])))
    assert span is not None
    wanted = [word.lower() for word in words[first:last]]
    assert finder.words(span).split() == wanted
