# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from radbundles.components.hub.printable import printable


def test_signs_that_terminals_obey_are_spelled_out() -> None:
    assert printable("a\x1b[2J\nb\u202ec é") == "a\\x1b[2J\\nb\\u202ec é"


def test_long_texts_are_cut_off() -> None:
    assert printable("a" * 500, most=10) == "aaaaaaa..." and printable(None) == "None"
