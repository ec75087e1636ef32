# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from radbundles.transforms import split_sentences


def test_sentences_end_at_a_stop_and_a_space() -> None:
    text = "The heart is normal in size. No pleural effusion is seen."
    assert split_sentences(text) == ["the heart is normal in size", "no pleural effusion is seen ."]


def test_numbers_of_a_list_are_lost_with_what_follows_them() -> None:
    assert split_sentences("1. The heart is very large. 2.The lungs are quite clear") == [
        "the heart is very large",
        "he lungs are quite clear",
    ]


def test_number_at_the_end_of_a_sentence_is_lost() -> None:
    text = "The tube ends at level 5. There is no new effusion"
    assert split_sentences(text) == ["the tube ends at level", "there is no new effusion"]


def test_several_stops_behind_a_number_count_as_one() -> None:
    assert split_sentences("a b c d e 3...x f g h i j") == ["a b c d e", "f g h i j"]


def test_decimals_and_line_breaks_stay_inside() -> None:
    assert split_sentences("A nodule of 2.5 cm\nin the left lung") == ["a nodule of 2 . 5 cm in the left lung"]


def test_runs_of_marks_are_one_token() -> None:
    assert split_sentences("Chest x-ray (PA/lateral): normal?!") == ["chest x - ray ( pa / lateral ): normal ?!"]


def test_underscore_belongs_to_a_word() -> None:
    assert split_sentences("compared to ___ no change") == ["compared to ___ no change"]


def test_broken_characters_are_a_space_and_others_beyond_ascii_are_dropped() -> None:
    assert split_sentences("no\ufffd\ufffdacute \u2013 na\u00efve process is seen") == ["no acute nave process is seen"]


def test_official_minimum_is_more_than_four_tokens_left() -> None:
    assert split_sentences("no effusion is seen. \u2013 no effusion is seen. no effusion is now seen") == [
        "no effusion is now seen"
    ]


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [(1, ["normal", "ptb", "no edema ."]), (2, ["no edema ."]), (3, ["no edema ."]), (4, [])],
)
def test_shorter_sentences_by_argument(minimum: int, expected: list[str]) -> None:
    assert split_sentences("Normal. PTB. No edema.", minimum_tokens=minimum) == expected


def test_text_without_words_has_no_sentence() -> None:
    assert split_sentences(" \n . \u2013", minimum_tokens=2) == []
    assert split_sentences("", minimum_tokens=1) == []


def test_minimum_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        split_sentences("normal", minimum_tokens=0)
