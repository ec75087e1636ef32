# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Phrases in token ids."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from radbundles.transforms.find_phrases import PhraseFinder, piece_table


def found(tokenizer: Tokenizer, phrases: list[str], text: str, *, whole_words: bool = True) -> list[list[str]]:
    pieces = tokenizer.encode(text)
    spans = PhraseFinder(tokenizer, phrases, whole_words=whole_words)(np.array(pieces.ids, dtype=np.int64))
    return [pieces.tokens[start:stop] for start, stop in spans]


def test_longest_phrase_wins_and_nothing_overlaps(tokenizer: Tokenizer) -> None:
    phrases = ["air", "air space disease", "space disease", "disease"]
    assert found(tokenizer, phrases, "air space disease, air, disease") == [
        ["air", "space", "disease"], ["air"], ["disease"],
    ]  # fmt: skip


def test_phrase_of_several_pieces_is_found_whole(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, ["aerate"], "aerate aerates") == [["aer", "##ate"]]


def test_word_that_goes_on_is_another_word(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, ["effusion"], "effusionic effusion") == [["effusion"]]
    assert found(tokenizer, ["effusion"], "effusionic effusion", whole_words=False) == [["effusion"], ["effusion"]]


def test_phrases_are_found_at_both_ends_and_without_case(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, ["Mass", "no"], "no air mass") == [["no"], ["mass"]]


def test_text_without_phrase_gives_nothing(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, ["mass"], "clear lungs") == []


def test_phrase_that_cannot_be_spelled_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="'zebra'"):
        PhraseFinder(tokenizer, ["mass", "zebra"])


def test_piece_table_marks_what_a_piece_holds(tokenizer: Tokenizer) -> None:
    table = piece_table(tokenizer, ".")
    assert {tokenizer.id_to_token(int(number)) for number in table.nonzero()[0]} == {".", ").", "..", "##."}
