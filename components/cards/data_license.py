# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``docs/data_license.txt`` of a bundle: the terms of the data behind it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from radbundles.components.cards.data_sets import DataSet
from radbundles.components.cards.read_bundle import BundleFiles

_HEADS = {
    "made_for": "Data sets and weights that it is made for, and their terms. Check them where you get the data:",
    "starts_from": "Its weights start from these, whose terms go on to hold:",
    "trained_on": "Its weights were trained on these, whose terms go on to hold:",
}
_ANSWERS = {"yes": "yes.", "no": "no.", "ask": "ask its owners.", "check": "check."}
_END = (
    "Weights trained on a data set fall under that data set's terms as well, and so they do with what they start from."
)


def data_license(folder: Path) -> str:
    """Write the terms of the data sets that a bundle's metadata names, out of the table of data sets.

    Args:
        folder: root of the bundle.

    Raises:
        OSError, ValueError: as :func:`card_text`.
    """
    files = BundleFiles.read(folder)
    head = (
        "This bundle contains weights and no data."
        if files.has_weights
        else "This bundle contains no data and no weights."
    )
    parts = [head]
    for role, sets in files.data_sets.items():
        parts += [_HEADS[role], *map(_terms, sets)] if sets else []
    if files.has_weights and not files.data_sets.get("trained_on"):
        stated = "trained_on" in files.data_sets
        parts.append(
            "Its weights were trained on made data alone."
            if stated
            else "What its weights were trained on is not stated."
        )
    return "\n\n".join([*parts, _END]) + "\n"


def _terms(one: DataSet) -> str:
    lines = [
        one.url,
        f"Terms: {one.license}.",
        f"Weights trained on it in public: {_ANSWERS[one.weights]} {one.weights_why}",
        f"Its images, reports and labels in public: {_ANSWERS[one.rows]} {one.rows_why}",
        f"Cite: {one.citation}",
    ]
    head = _wrapped(f"{one.name}: {one.what}", "- ")
    return "\n".join([head, *(_wrapped(line, "  ") for line in lines)])


def _wrapped(line: str, start: str) -> str:
    return textwrap.fill(
        line, 118, initial_indent=start, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
