# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a datalist as they are, good or bad: reading that records faults instead of raising."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault, shorten
from radbundles.components.data.lines import iter_lines, parse_json
from radbundles.components.data.schema import SPLITS

# Row number, split, item, faults found on the way to it.
Row = tuple[int, str | None, Any, list[Fault]]
_NOT_JSON = "Write one JSON object a line; a report's line breaks are \\n inside the text."


def read_rows(path: Path, document: dict[str, Any] | None) -> Iterator[Row]:
    """Rows as (row, split, item, faults); the item is None when there is nothing to check, the split when unknown."""
    if document is not None:
        row = 0
        for split in SPLITS:
            for item in document.get(split, []):
                row += 1
                yield row, split, item, []
        return
    for row, _, raw in iter_lines(path):
        if row == 1 and raw.strip() in (b"{", b"["):
            message = "the file is one JSON document, not one object a line"
            yield row, None, None, [Fault(None, None, None, "invalid_json", message, "Name it .json.")]
            return
        try:
            item = parse_json(raw)
        except ValueError as error:
            message = f"the line is not JSON: {error}"
            yield row, None, None, [Fault(row, None, None, "invalid_json", message, _NOT_JSON)]
            continue
        if not isinstance(item, dict):
            yield row, None, item, []
            continue
        if "id" not in item and any(split in item for split in SPLITS):
            message = "the line is a whole datalist with sections, not an item"
            yield row, None, None, [Fault(row, None, None, "invalid_json", message, "Name the file .json.")]
            continue
        name = item["id"] if isinstance(item.get("id"), str) else None
        split = item.pop("split", None)
        faults = []
        if split is None:
            fix = f"Add it: one of {', '.join(SPLITS)}."
            faults.append(Fault(row, name, "split", "missing_field", "is missing", fix))
        elif split not in SPLITS:
            message = f"{shorten(split)} is none of {', '.join(SPLITS)}"
            faults.append(Fault(row, name, "split", "unknown_split", message, "Write one of them."))
        yield row, split if split in SPLITS else None, item, faults
