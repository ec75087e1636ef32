# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the table of quotes that a labeler writes to a label set, which holds their places and none of their text."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from radbundles.components.data.lines import existing, iter_lines
from radbundles.components.distillation.labels import Mention, require_label_record, text_digest

_SHOWN = 10  # faults that one message tells


class LabelRow(NamedTuple):
    """One row of a label table: an entity and the quote that decides it; only an id for a report without any entity."""

    id: str
    section: str = ""
    entity: str = ""
    certainty: str = ""
    quote: str = ""
    occurrence: int = 1


def part_of(name: str) -> str:
    """The part an id belongs to: ``tuning`` or ``held-out``, half of the ids each, by their SHA-256."""
    return "held-out" if hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[0] >> 4 & 1 else "tuning"


def read_label_table(path: str | os.PathLike[str]) -> list[LabelRow]:
    """Read the table that a labeler writes: tab-separated, UTF-8, no heading.

    A row is ``id, section, entity, certainty, quote``; the quote may end in ``@@2`` for its second occurrence in the
    section. ``id, -`` is a report that speaks of no entity.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a row has another form; names the row.
    """
    rows: list[LabelRow] = []
    for number, _, raw in iter_lines(existing(path)):
        try:
            cells = raw.decode("utf-8-sig").rstrip("\r\n").split("\t")
        except UnicodeDecodeError:
            raise ValueError(f"{path}, row {number} is not UTF-8") from None
        if len(cells) == 2 and cells[1].strip() == "-":
            rows.append(LabelRow(cells[0].strip()))
        elif len(cells) == 5:
            name, section, entity, certainty = (cell.strip() for cell in cells[:4])
            quote, occurrence = _counted(cells[4])
            rows.append(LabelRow(name, section, entity, certainty, quote, occurrence))
        else:
            raise ValueError(
                f"{path}, row {number}: {len(cells)} columns; five are wanted (id, section, entity, certainty, quote), "
                "or an id and '-', separated by tabs"
            )
    return rows


def _counted(quote: str) -> tuple[str, int]:
    text, mark, count = quote.rpartition("@@")
    return (text, int(count)) if mark and count.isascii() and count.isdigit() else (quote, 1)


def make_labels(
    rows: Iterable[LabelRow],
    reports: Mapping[str, Mapping[str, str]],
    *,
    entities: Collection[str] | None = None,
    part: Callable[[str], str] = part_of,
    drawn: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Turn quotes into places, so that the label set holds no text.

    Args:
        rows: what the readers wrote, at least one row for each labeled report.
        reports: id -> section name -> text.
        entities: names that labels may have, None for any.
        part: id -> ``tuning`` or ``held-out``.
        drawn: id -> ``random`` or ``enriched``.

    Returns:
        Records as ``labels.schema.json`` describes them, in the order of the rows; mentions in the order of reading.

    Raises:
        ValueError: a quote that does not occur, an unknown report, section, entity or certainty, or an entity labeled
            twice. Names the rows, counted from 1, never a quote.
    """
    labeled: dict[str, dict[str, dict[str, Any]]] = {}
    faults: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            mention = _placed(row, reports, entities)
            mentions = labeled.setdefault(row.id, {})
            if mention is not None and mentions.setdefault(row.entity, mention) is not mention:
                raise ValueError("the entity has a label already")
        except ValueError as error:
            # A cell of a shifted row may hold report text, so only what is known to be an id is told.
            whose = f" ({row.id})" if row.id in reports else ""
            faults.append(f"label {number}{whose}: {error}")
    if faults:
        more = f"\nand {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError("\n".join(faults[:_SHOWN]) + more)
    records = []
    for name, found in labeled.items():
        order = list(reports[name])
        record: dict[str, Any] = {
            "id": name,
            "sections": {section: text_digest(text) for section, text in reports[name].items() if text},
            "part": part(name),
            "mentions": sorted(found.values(), key=lambda m: (order.index(m["section"]), m["start"], m["end"])),
        }
        if drawn is not None and name in drawn:
            record["drawn"] = drawn[name]
        try:
            require_label_record(record)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        records.append(record)
    return records


def write_labels(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write records of :func:`make_labels` as JSON Lines."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def _placed(
    row: LabelRow, reports: Mapping[str, Mapping[str, str]], entities: Collection[str] | None
) -> dict[str, Any] | None:
    if row.id not in reports:
        raise ValueError("there is no such report")
    if row == LabelRow(row.id):
        return None
    if row.section not in reports[row.id]:
        raise ValueError("the report has no such section")
    if not row.entity or (entities is not None and row.entity not in entities):
        raise ValueError("there is no such entity")
    if row.certainty not in ("present", "uncertain", "absent", "unclear"):
        raise ValueError("the certainty is present, uncertain, absent or unclear")
    if not row.quote or row.occurrence < 1:
        raise ValueError("the quote is empty" if not row.quote else f"there is no occurrence {row.occurrence}")
    text, start = reports[row.id][row.section], -1
    for occurrence in range(1, row.occurrence + 1):
        start = text.find(row.quote, start + 1)
        if start < 0:
            how_often = f"{occurrence - 1} times, not {row.occurrence}" if occurrence > 1 else "nowhere"
            raise ValueError(f"the quote occurs {how_often} in {row.section!r}")
    return asdict(Mention(row.entity, row.certainty, row.section, start, start + len(row.quote)))
