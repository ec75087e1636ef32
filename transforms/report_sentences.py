# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A report as a list of plain sentences, the form in which sentence labels are looked up."""

from __future__ import annotations

import re

OFFICIAL_MINIMUM = 5
"""Tokens of the shortest sentence that the official preparation keeps."""

# "1. Stable." and also "at level 5. The heart": the number goes, and so does the character behind the stop.
_NUMBERED = re.compile(r"[0-9]+\.+[^0-9]")
# What NLTK's wordpunct_tokenize matches: runs of word characters, and runs of other marks.
_TOKEN = re.compile(r"\w+|[^\w\s]+")


def split_sentences(text: str, *, minimum_tokens: int = OFFICIAL_MINIMUM) -> list[str]:
    """Cut a report into lower-case sentences whose tokens stand apart by single spaces.

    Source: the sentence preparation of DCXFM (official code), after that of ConVIRT. A number that ends with a full
    stop separates sentences and is lost, as does ". "; tokens are runs of letters and digits, or of other marks, so
    that "x-ray" becomes three; characters outside of ASCII are dropped.

    Args:
        text: a report or a section of one.
        minimum_tokens: a sentence of fewer tokens is left out. The official code keeps those of more than 4, which
            loses "No pneumothorax." and readings such as "normal".

    Returns:
        The sentences in the order of the text, repeated ones too.

    Raises:
        ValueError: if ``minimum_tokens`` is less than 1.
    """
    if minimum_tokens < 1:
        raise ValueError(f"minimum_tokens must be at least 1, not {minimum_tokens}")
    sentences = []
    for numbered in _NUMBERED.split(text.replace("\n", " ")):
        for piece in numbered.split(". "):
            found = _TOKEN.findall(piece.replace("\ufffd\ufffd", " ").lower())
            tokens = [ascii_part for token in found if (ascii_part := token.encode("ascii", "ignore").decode())]
            if len(tokens) >= minimum_tokens:
                sentences.append(" ".join(tokens))
    return sentences
