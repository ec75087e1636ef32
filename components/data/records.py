# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A job over the reports of a datalist: one record a line, faulty rows set aside, the file whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.lines import existing, hash64, is_jsonl, iter_lines
from radbundles.components.data.section import Item, parse_row


class RowError(Exception):
    """A fault of one row; the message holds no text of the row."""


@dataclass(frozen=True)
class WrittenRecords:
    """What a job did.

    Args:
        out: the file of records.
        failures_out: the file of rows that failed, None if none did.
        failures: number of those rows.
        seconds: that it took.
    """

    out: str
    failures_out: str | None
    failures: int
    seconds: float


def report_sha256(report: Mapping[str, str]) -> str:
    """Digest of a report, to tell whether a record is still of this report."""
    canonical = json.dumps(report, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def write_records(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    make: Callable[[Item], dict[str, Any]],
    *,
    progress: Callable[[], object] | None = None,
) -> WrittenRecords:
    """Make a record of each item of a datalist, in its order, and write it with id and digest of the report.

    The file appears under its name only when it is complete. A row that has no id, repeats one, has no report of texts
    or makes ``make`` raise :class:`RowError` is written to ``<out>.failures.jsonl`` (row, id, reason; never report
    text) and the others go on. Memory does not grow with the text.

    Args:
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        make: from an item, whose ``report`` and ``labels`` are objects if they are there, to the rest of its record.
        progress: called after each row.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist, or the datalist as a whole cannot be read.
    """
    source, out = existing(datalist), Path(out)
    failures_path = out.with_name(f"{out.name}.failures.jsonl")
    if source.resolve() in (out.resolve(), failures_path.resolve()):
        raise ValueError(f"{out} would overwrite the datalist {source}; choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    seen: set[int] = set()
    began = time.perf_counter()
    with _atomic(out) as records, _atomic(failures_path) as failures:
        for row, item in _rows(source):
            try:
                key = _checked_key(item, seen)
                record = make(item)
            except RowError as error:
                failed += 1
                public_id = item["id"] if isinstance(item.get("id"), str) else None
                _write(failures, {"row": row, "id": public_id, "reason": str(error)})
            else:
                seen.add(key)
                _write(records, {"id": item["id"], "report_sha256": report_sha256(item.get("report", {})), **record})
            if progress is not None:
                progress()
    if not failed:
        failures_path.unlink()
    seconds = time.perf_counter() - began
    return WrittenRecords(str(out), str(failures_path) if failed else None, failed, seconds)


def _rows(path: Path) -> Iterator[tuple[int, Item]]:
    """Rows of a datalist; of JSON Lines also those that cannot be read, as an empty item."""
    if not is_jsonl(path):
        for row, _, item in iter_datalist(path):
            yield row, item
        return
    for row, _, raw in iter_lines(path):
        try:
            item = parse_row(path, row, raw)[1]
        except ValueError:
            item = {}
        yield row, item


def _checked_key(item: Item, seen: set[int]) -> int:
    if not item:
        raise RowError("the row is not an item of a datalist; radbundles data check says why")
    name, report = item.get("id"), item.get("report", {})
    if not isinstance(name, str) or not name:
        raise RowError("the item has no id")
    if not isinstance(report, dict) or not all(isinstance(text, str) for text in report.values()):
        raise RowError("the report is not an object of texts")
    if not isinstance(item.get("labels", {}), dict):
        raise RowError("the labels are not an object")
    if (key := hash64(name)) in seen:
        raise RowError("an item with this id came before")
    return key


def _write(file: IO[str], value: dict[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")


@contextmanager
def _atomic(path: Path) -> Iterator[IO[str]]:
    """A text file that replaces ``path`` when the block ends well and vanishes when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
