# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A job over the reports of a datalist: one record a line, faulty rows set aside, the file whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from radbundles.components.data.datalist import dump_line, iter_datalist
from radbundles.components.data.lines import existing, hash64, is_jsonl, iter_lines
from radbundles.components.data.section import Item, parse_row

_RECENT = 1 << 14  # ids that wait in a set, which is quick and large, until they join the sorted ones


class RowError(Exception):
    """A fault of one row; the message holds no text of the row."""


class Row(NamedTuple):
    """A row of a datalist.

    Args:
        number: line of the JSON Lines file, or running number of the item in the JSON file, from 1.
        item: what stands there, empty if it cannot be read.
        fault: why no record can be made of it, None if one can; holds no text of the row.
    """

    number: int
    item: Item
    fault: str | None


@dataclass(frozen=True)
class WrittenRecords:
    """What a job did.

    Args:
        out: the file of records.
        failures_out: the file of rows that failed, None if none did.
        failures: number of those rows.
        reasons: why, and how many for each reason.
        seconds: that it took.
    """

    out: str
    failures_out: str | None
    failures: int
    reasons: Mapping[str, int]
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
    only: Collection[str] | None = None,
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
        only: ids of the items to take, by default all.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist, or the datalist as a whole cannot be read.
    """
    source, out, failures_path = destinations(datalist, out)
    reasons: Counter[str] = Counter()
    began = time.perf_counter()
    with atomic(out) as records, atomic(failures_path) as failures:
        for row in checked_rows(source, only):
            try:
                if row.fault is not None:
                    raise RowError(row.fault)
                record = make(row.item)
            except RowError as error:
                reasons[str(error)] += 1
                failures.write(failure_line(row, str(error)))
            else:
                records.write(record_line(row.item["id"], report_sha256(row.item.get("report", {})), record))
            if progress is not None:
                progress()
    if not reasons:
        failures_path.unlink()
    seconds = time.perf_counter() - began
    return WrittenRecords(str(out), str(failures_path) if reasons else None, reasons.total(), reasons, seconds)


def destinations(datalist: str | os.PathLike[str], out: str | os.PathLike[str]) -> tuple[Path, Path, Path]:
    """The datalist, the file of records and the file of failures of a job; the folder of both is made.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist.
    """
    source, out = existing(datalist), Path(out)
    failures = out.with_name(f"{out.name}.failures.jsonl")
    if source.resolve() in (out.resolve(), failures.resolve()):
        raise ValueError(f"{out} would overwrite the datalist {source}; choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    return source, out, failures


def record_line(name: str, sha256: str, record: Mapping[str, Any]) -> str:
    """The line of a record; the id leads it, where readers find it without parsing."""
    return dump_line({"id": name, "report_sha256": sha256, **record}) + "\n"


def failure_line(row: Row, reason: str) -> str:
    """The line of a row that failed."""
    name = row.item.get("id")
    public = name if isinstance(name, str) else None
    return dump_line({"row": row.number, "id": public, "reason": reason}) + "\n"


def checked_rows(path: Path, only: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the rows of a datalist with what is wrong with them.

    Besides the row at hand, eight bytes for each row are held: a hash of its id, to find the ids that repeat.

    Args:
        path: the datalist.
        only: ids of the rows to yield, by default all.

    Raises:
        ValueError: if the datalist as a whole cannot be read.
    """
    seen = _Seen()
    wanted = None if only is None else frozenset(only)
    for number, item in _rows(path):
        if wanted is not None and not (isinstance(name := item.get("id"), str) and name in wanted):
            continue
        yield Row(number, item, _fault(item, seen))


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


def _fault(item: Item, seen: _Seen) -> str | None:
    if not item:
        return "the row is not an item of a datalist; radbundles data check says why"
    name, report = item.get("id"), item.get("report", {})
    if not isinstance(name, str) or not name:
        return "the item has no id"
    if not isinstance(report, dict) or not all(isinstance(text, str) for text in report.values()):
        return "the report is not an object of texts"
    if not isinstance(item.get("labels", {}), dict):
        return "the labels are not an object"
    return None if seen.add(hash64(name)) else "an item with this id came before"


class _Seen:
    """Numbers of 64 bits, held in eight bytes each; a set takes eighty."""

    def __init__(self) -> None:
        self._sorted = np.zeros(0, np.uint64)
        self._recent: set[int] = set()

    def add(self, number: int) -> bool:
        """Add a number and say whether it is new."""
        if number in self._recent:
            return False
        wanted = np.uint64(number)
        place = int(self._sorted.searchsorted(wanted))
        if place < len(self._sorted) and self._sorted[place] == wanted:
            return False
        self._recent.add(number)
        if len(self._recent) == _RECENT:
            recent = np.fromiter(self._recent, np.uint64, _RECENT)
            self._sorted = np.sort(np.concatenate((self._sorted, np.sort(recent))), kind="stable")  # merges two runs
            self._recent.clear()
        return True


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
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
