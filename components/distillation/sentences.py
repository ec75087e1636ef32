# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cut report text into words and sentences, keeping character offsets.

Radiology reports are dictated, de-identified and pasted: decimals, "Dr.", lists "1." and "2)", section headings in
running text, wrapped lines, upper case and missing full stops all occur. Everything here is one left-to-right pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

# Hyphens inside a word are dropped, so that "air-space" and "air space" read alike. "\n" swallows what follows it
# but never looks ahead past it: the pattern has no nested or adjacent open-ended repeats, hence linear time.
_TOKEN = re.compile(r"\d+(?:\.\d+)+|[^\W_]+(?:['\u2019][^\W_]+)?|\n\s*|[^\w\s-]|(?<!\w)-|-(?!\w)")
_BULLETS = frozenset("-*\u2022\u00b7")


class Sentence(NamedTuple):
    """Words ``start`` to ``stop`` (exclusive) of a text, under the heading ``section`` (None: no heading seen)."""

    start: int
    stop: int
    section: str | None


class Words(NamedTuple):
    """Lower-case words and punctuation marks of a text with their character offsets."""

    words: list[str]
    starts: list[int]
    ends: list[int]


def words_of(phrase: str) -> list[str]:
    """Words of a phrase, cut in the same way as report text."""
    return [match.group().lower() for match in _TOKEN.finditer(phrase) if not match.group().startswith("\n")]


def split_sentences(
    text: str,
    *,
    abbreviations: Collection[str] = (),
    openers: Collection[str] = (),
    headings: Mapping[str, str] | None = None,
) -> tuple[Words, list[Sentence]]:
    """Cut a text into words and sentences.

    Args:
        text: any text; offsets refer to it as it is.
        abbreviations: lower-case words after which a full stop does not end the sentence.
        openers: lower-case words that open a new sentence when they are capitalized in the middle of a line although
            no full stop came before. Not used for text without lower-case letters.
        headings: lower-case heading -> section kind, for headings such as ``IMPRESSION:`` inside the text.
    """
    headings = headings or {}
    mixed_case = not text.isupper()
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    sentences: list[Sentence] = []
    section: str | None = None
    first = 0
    wrapped = False  # a single line break stands before this word

    def close(stop: int | None = None) -> None:
        nonlocal first
        stop = len(words) if stop is None else stop
        if stop > first:
            sentences.append(Sentence(first, stop, section))
        first = stop

    for match in _TOKEN.finditer(text):
        token = match.group()
        if token[0] == "\n":
            if "\n" in token[1:]:
                close()
            else:
                wrapped = True
            continue
        word = token.lower()
        start, end = match.span()
        if wrapped:
            wrapped = False
            if token in _BULLETS or token[0].isdigit() or (mixed_case and token[0].isupper() and word != "xxxx"):
                close()
        if token.isalpha():
            if word in openers and mixed_case and token.istitle() and len(words) > first and words[-1].isalnum():
                close()
        elif token in ".;!" or (token == "?" and not _asks(text, start, end)):
            if token == "." and _abbreviates(words, ends, start, abbreviations):
                continue
            close()
            continue
        elif token == ")" and words and words[-1].isdigit() and (len(words) < 2 or words[-2] != "("):
            close()  # "1) ... 2) ...": the number ends up as a sentence without meaning
            continue
        elif token == ":" and headings:
            size = next((n for n in (1, 2, 3) if " ".join(words[-n:]) in headings and len(words) - n >= first), 0)
            # In running text only a heading in capitals counts, at the start of a sentence any.
            if size and (len(words) - size == first or text[starts[-size] : start].isupper()):
                close(len(words) - size)
                section, first = headings[" ".join(words[-size:])], len(words)
                continue
        words.append(word)
        starts.append(start)
        ends.append(end)
    close()
    return Words(words, starts, ends), sentences


def _asks(text: str, start: int, end: int) -> bool:
    """Whether a question mark opens a doubtful finding ("?pneumonia", "right ? pleurisy") instead of ending one."""
    stands_apart = start == 0 or text[start - 1].isspace() or text[start - 1] in "(,;"
    followed = end < len(text) and (text[end].isalnum() or (text[end] == " " and text[end + 1 : end + 2].isalnum()))
    return followed and (stands_apart or text[end].isalnum())


def _abbreviates(words: list[str], ends: list[int], start: int, abbreviations: Collection[str]) -> bool:
    """Whether the full stop at ``start`` belongs to the word before it."""
    if not words or ends[-1] != start:
        return False
    return words[-1] in abbreviations or (len(words[-1]) == 1 and words[-1].isalpha())
