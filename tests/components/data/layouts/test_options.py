# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Options of layouts as words of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.data.layouts import LAYOUTS
from radbundles.components.data.layouts.options import layout_options, parse_options


def parse(layout: str, *words: str) -> dict[str, object]:
    return parse_options(layout, LAYOUTS[layout].read, words)


def test_words_become_values_of_the_type_of_the_argument() -> None:
    assert parse("chexpert", "blank=absent", "test-list = a=b.csv") == {"blank": "absent", "test_list": Path("a=b.csv")}
    assert parse("chest-xray14", "official_split=No") == {"official_split": False}
    assert parse("covidx", "version=7A") == {"version": "7A"}
    assert parse("mured") == {}


@pytest.mark.parametrize(
    ("layout", "words", "told"),
    [
        ("chexpert", ["blank"], "must be NAME=VALUE, not 'blank'"),
        ("chexpert", ["blanks=absent"], "layout 'chexpert' has no option 'blanks'; is it 'blank'"),
        ("chexpert", ["zzz=1"], "no option 'zzz'; it has blank, test_list, views"),
        ("mured", ["a=1"], "no option 'a'; it has none"),
        ("chexpert", ["blank=zero"], "the option 'blank' takes unknown, absent, not 'zero'"),
        ("chest-xray14", ["official_split=maybe"], "takes true, yes, 1, false, no, 0, not 'maybe'"),
        ("chexpert", ["blank=absent", "blank=unknown"], "'blank' is given twice"),
    ],
)
def test_wrong_words(layout: str, words: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(layout, *words)


def test_every_layout_can_be_described() -> None:
    for layout in LAYOUTS.values():
        assert layout.summary and all(layout_options(layout.read).values())
    assert layout_options(LAYOUTS["chexpert"].read)["blank"] == "unknown|absent"
    assert layout_options(LAYOUTS["chest-xray14"].read) == {"official_split": "true|false"}
