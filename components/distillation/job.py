# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distill every report of a datalist into a file that training joins by id."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.lines import existing, hash64, is_jsonl, iter_lines
from radbundles.components.data.section import parse_row
from radbundles.components.distillation.interface import Distiller
from radbundles.components.distillation.schema import is_valid_output


class _RowError(Exception):
    """A fault of one row; the message holds no value of the row."""


def report_sha256(report: Mapping[str, str]) -> str:
    """Digest of a report, to tell whether a distilled text is still of this report."""
    canonical = json.dumps(report, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def distill_datalist(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    distiller: Distiller,
    *,
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Distill all reports of a datalist, one record a line in the order of the datalist.

    The file appears under its name only when it is complete. A row that cannot be distilled is written to
    ``<out>.failures.jsonl`` (row, id, reason; never report text) and the others go on. An item without a report gets a
    record with empty text, so that joining by id finds every item. Memory does not grow with the text.

    Args:
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        distiller: the backend.
        progress: called after each row.

    Returns:
        Summary: counts of reports, sentences, certainties and entities, failures, rate.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist, or the datalist as a whole cannot be read.
    """
    source, out = existing(datalist), Path(out)
    failures_path = out.with_name(f"{out.name}.failures.jsonl")
    if source.resolve() in (out.resolve(), failures_path.resolve()):
        raise ValueError(f"{out} would overwrite the datalist {source}; choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    certainties: Counter[str] = Counter(present=0, uncertain=0, absent=0)
    by_entity: dict[str, Counter[str]] = {}
    seen: set[int] = set()
    began = time.perf_counter()
    with _atomic(out) as records, _atomic(failures_path) as failures:
        for row, item in _rows(source):
            try:
                record = _distill_row(item, distiller, seen)
            except _RowError as error:
                counts["failures"] += 1
                _write(failures, {"row": row, "id": _public_id(item), "reason": str(error)})
            else:
                _write(records, record)
                counts["reports" if item.get("report") else "without_report"] += 1
                counts["without_entity"] += bool(item.get("report")) and not record["entities"]
                for entity in record["entities"]:
                    certainties[entity["certainty"]] += 1
                    by_entity.setdefault(entity["entity"], Counter())[entity["certainty"]] += 1
            if progress is not None:
                progress()
    if not counts["failures"]:
        failures_path.unlink()
    seconds = time.perf_counter() - began
    return {
        "out": str(out),
        "failures_out": str(failures_path) if counts["failures"] else None,
        "backend": distiller.name,
        "version": distiller.version,
        "reports": counts["reports"],
        "without_report": counts["without_report"],
        "without_entity": counts["without_entity"],
        "failures": counts["failures"],
        "sentences": certainties.total(),
        "certainty": dict(certainties),
        "entities": {name: dict(found) for name, found in sorted(by_entity.items())},
        "seconds": round(seconds, 3),
        "reports_per_second": round(counts["reports"] / seconds, 1) if seconds else 0.0,
    }


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
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


def _distill_row(item: dict[str, Any], distiller: Distiller, seen: set[int]) -> dict[str, Any]:
    if not item:
        raise _RowError("the row is not an item of a datalist; radbundles data check says why")
    name, report = item.get("id"), item.get("report", {})
    if not isinstance(name, str) or not name:
        raise _RowError("the item has no id")
    if not isinstance(report, dict) or not all(isinstance(text, str) for text in report.values()):
        raise _RowError("the report is not an object of texts")
    if (key := hash64(name)) in seen:
        raise _RowError("an item with this id came before")
    try:
        output = distiller.distill(report)
    except Exception as error:  # a backend's message may quote the report: only the kind of error is kept
        raise _RowError(f"the backend {distiller.name} failed with {type(error).__name__}") from None
    if not is_valid_output(output, report):
        raise _RowError(f"the backend {distiller.name} gave a record that breaks distilled.schema.json")
    seen.add(key)
    origin = {"backend": distiller.name, "version": distiller.version}
    return {"id": name, "report_sha256": report_sha256(report), **output, **origin}


def _public_id(item: dict[str, Any]) -> str | None:
    return item["id"] if isinstance(item.get("id"), str) else None


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
