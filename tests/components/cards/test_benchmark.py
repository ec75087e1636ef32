# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of the benchmark on cards are those of the page, which other tests hold against the rows of the runs."""

from __future__ import annotations

import json
from pathlib import Path

from radbundles.components.cards.benchmark import ABOUT, STUDIES
from radbundles.components.cards.performance import benchmark_table


def test_cards_show_the_rows_of_the_page_and_all_of_them(repository: Path) -> None:
    page = (repository / "docs" / "ecamp_downstream.md").read_text(encoding="utf-8")
    published = {
        line for line in page.splitlines() if line.startswith("| ") and " to " in line and line.count("|") == 7
    }
    shown: set[str] = set()
    for bundle in STUDIES:
        content = json.loads((repository / "bundles" / bundle / "docs" / "benchmark.json").read_text(encoding="utf-8"))
        assert content["about"] == ABOUT
        rows = benchmark_table(content["studies"]).splitlines()[2:]
        assert set(rows) <= published
        shown |= set(rows)
        card = (repository / "bundles" / bundle / "docs" / "README.md").read_text(encoding="utf-8").splitlines()
        assert set(rows) <= set(card)
    assert {row for row in published if any(char.isdigit() for char in row.split("|")[4])} == shown


def test_other_bundles_show_none(repository: Path) -> None:
    holders = {path.parents[1].name for path in (repository / "bundles").glob("*/docs/benchmark.json")}
    assert holders == set(STUDIES)
