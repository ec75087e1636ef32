# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the words that a language model claims to quote from a report."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_PUNCTUATION = " \t\r\n.,;:!?\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u2026"
_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u2032`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        "\u03c2": "\u03c3",  # lower() writes the last sigma of a word in another way, which a cut quote does not
    }
)
_WORD = re.compile(r"\S+")
_ENDING = 2  # letters that a quote may leave off its last word: "effusion" for "effusions"
_SPACED = "\u0e00"  # scripts before Thai put spaces between words; most after it do not


class Span(NamedTuple):
    """Where a quote stands.

    Args:
        place: number of the section.
        start: first character in its text.
        end: character after the last.
    """

    place: int
    start: int
    end: int


class QuoteFinder:
    """Finds quotes in the sections of one report.

    A quote is found if its words stand in one section, one after the other: letter for letter, or else but for case,
    runs of white space, and the form of quotation marks and dashes. Punctuation around the quote does not count. It
    starts where a word starts and ends where a word ends, save an ending of up to two letters ("effusion" is found in
    "effusions", "mass" not in "massive"); scripts without spaces between words are free of this rule.

    Args:
        texts: the sections' texts in the order of reading.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = list(texts)
        self._folded: list[tuple[str, list[int], list[int]]] | None = None

    def find(self, quote: str) -> Span | None:
        """First place of a quote, offsets in the original text; None if it does not occur or holds no word."""
        quote = quote.strip().strip(_PUNCTUATION)
        if not any(map(str.isalnum, quote)):
            return None
        for place, text in enumerate(self._texts):
            for start in _occurrences(text, quote):
                return Span(place, start, start + len(quote))
        quote = _fold(" ".join(quote.split()))
        if self._folded is None:  # most quotes are found above
            self._folded = [_squeeze(text) for text in self._texts]
        for place, (folded, ours, theirs) in enumerate(self._folded):
            for start in _occurrences(folded, quote):
                return Span(place, _original(start, ours, theirs), _original(start + len(quote) - 1, ours, theirs) + 1)
        return None

    def words(self, span: Span) -> str:
        """The words at a place, in lower case with single spaces."""
        return " ".join(self._texts[span.place][span.start : span.end].lower().split())


def _occurrences(text: str, quote: str) -> Iterator[int]:
    start = text.find(quote)
    while start >= 0:
        if _is_whole(text, start, start + len(quote)):
            yield start
        start = text.find(quote, start + 1)


def _is_whole(text: str, start: int, end: int) -> bool:
    if start and _joined(text[start - 1], text[start]):
        return False
    rest = end
    while rest < len(text) and rest - end <= _ENDING and _joined(text[rest - 1], text[rest]):
        if not text[rest].isalpha():
            return False
        rest += 1
    return rest - end <= _ENDING


def _joined(left: str, right: str) -> bool:
    """Whether two neighbors belong to one word."""
    return left.isalnum() and right.isalnum() and left < _SPACED and right < _SPACED


def _fold(text: str) -> str:
    """Lower case, plain quotation marks and dashes; never of another length."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
    return lower.translate(_SAME)


def _squeeze(text: str) -> tuple[str, list[int], list[int]]:
    """Folded text with single spaces, and where its words start there and in the original."""
    words, ours, theirs, at = [], [], [], 0
    for match in _WORD.finditer(_fold(text)):
        words.append(match[0])
        ours.append(at)
        theirs.append(match.start())
        at += len(match[0]) + 1
    return " ".join(words), ours, theirs


def _original(offset: int, ours: list[int], theirs: list[int]) -> int:
    word = bisect_right(ours, offset) - 1
    return theirs[word] + offset - ours[word]
