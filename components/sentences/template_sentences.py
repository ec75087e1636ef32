# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sentences for an image that has labels and no report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbundles.transforms.label_table import LabelTable


def template_sentences(table: LabelTable, labels: Mapping[str, int]) -> list[dict[str, Any]]:
    """Say in plain sentences what labels say.

    "there is X" for each class that is present; if there is none but supports, also "there is no acute finding" where
    that is known, and "there is no X" for the classes that are labeled absent. Nothing is said of -1 or locations.

    The official code draws sentences of other patients' reports with like labels instead, which needs those reports.

    Args:
        table: the classes and their phrases.
        labels: name -> 1, 0 or -1; names that the table does not know are ignored.

    Returns:
        ``[{"text": str, "labels": {name: 1 | 0}}, ...]``, empty if nothing is known.
    """
    said = table.resolve(labels)
    codes = dict(zip(table.names, table.codes(labels, uncertain="unknown").tolist(), strict=True))
    locations = {table.names[place] for place in table.locations}
    none = None if table.no_finding is None else table.names[table.no_finding]
    supports = {table.names[place] for place in table.supports}
    phrases = dict(zip(table.names, table.phrases, strict=True))
    present = [name for name, code in codes.items() if code == 1 and name not in locations]
    sentences = [{"text": f"there is {phrases[name]}", "labels": {name: 1}} for name in present]
    if set(present) <= supports | {none}:
        normal = {} if none is None else {none: 1}
        absent = [name for name, value in said.items() if value == 0 and name not in {none, *locations}]
        sentences += [{"text": f"there is no {_bare(phrases[name])}", "labels": {name: 0, **normal}} for name in absent]
    return sentences


def _bare(phrase: str) -> str:
    return phrase.removeprefix("a ").removeprefix("an ")
