# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Data sets as rows of Markdown, for cards and for the page of licenses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from radbundles.components.cards.data_sets import ROLES, data_sets_of


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table in Markdown; nothing where there are no rows."""
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |", *lines])


def data_table(metadata: Mapping[str, Any]) -> str:
    """Write which data sets a bundle is made for or was made from; terms in full stand in ``data_license.txt``."""
    rows = [
        (ROLES[role], f"[{one.name}]({one.url})", one.license, one.weights)
        for role, sets in data_sets_of(metadata).items()
        for one in sets
    ]
    return table(("Role", "Data set", "License", "May weights trained on it be public?"), rows)
