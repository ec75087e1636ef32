# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page on public data sets names every layout with its options and where to get it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radbundles.components.data.layouts import LAYOUTS
from radbundles.components.data.layouts.options import layout_options

PAGE = Path(__file__).parents[4] / "docs/public_data.md"
PUBLIC = "aptos2019 chest-xray14 chexpert covidx idrid mured odir-5k riga rsna-pneumonia siim-acr".split()


@pytest.mark.parametrize("name", PUBLIC)
def test_layout_has_a_row_in_both_tables_and_its_options_are_told(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
    assert len(rows) == 2 and "](https://" in rows[0]
    told = set(re.findall(r"(?:--option |`)(\w+)(?:=|`)", page))
    assert layout_options(LAYOUTS[name].read).keys() <= told
