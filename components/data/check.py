# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The check of a whole datalist: every fault, with its row and field, in bounded memory."""

from __future__ import annotations

import array
import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from radbundles.components.data.check_rows import Row, read_rows
from radbundles.components.data.datalist import read_document
from radbundles.components.data.fault import Fault, shorten
from radbundles.components.data.image_check import box_faults, image_faults
from radbundles.components.data.lines import existing, hash64, is_jsonl
from radbundles.components.data.schema import SPLITS, field_name, header_faults, item_faults

Item = dict[str, Any]
# Row number, faults, hash of the image file.
_Checked = tuple[int, list[Fault], int | None]
_CHUNK = 64
_THREADS = 8


@dataclass
class CheckReport:
    """Counts of a check, complete when :func:`check_datalist` has been run through.

    Args:
        sections: number of items by split.
        faults: number of faults by code.
    """

    sections: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


def check_datalist(
    path: str | os.PathLike[str],
    *,
    images: Literal["none", "header", "pixels"] = "header",
    dataset_dir: str | os.PathLike[str] | None = None,
    label_names: Collection[str] | None = None,
    duplicate_images: bool = False,
    report: CheckReport | None = None,
) -> Iterator[Fault]:
    """Find every fault of a datalist.

    A JSON Lines file is streamed; 17 bytes of each row are kept to find ids that occur twice and patients in two
    splits. Candidates that only share a 64-bit hash are sorted out in a second pass, so there is no false alarm.

    Args:
        path: JSON or JSON Lines datalist.
        images: ``none`` leaves files alone, ``header`` reads sizes, ``pixels`` decodes every image and mask.
        dataset_dir: folder that image and mask paths are relative to, by default the folder of the datalist.
        label_names: names that labels may have; by default those of a JSON datalist, else any.
        duplicate_images: find files of the same content as well (reads every file whole).
        report: is filled with counts.

    Yields:
        The faults: row by row, then those between rows.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: ``images`` is none of the three.
    """
    if images not in ("none", "header", "pixels"):
        raise ValueError(f"images must be none, header or pixels, not {images!r}")
    path = existing(path)
    checker = _Checker(
        path,
        images=images,
        base_dir=str(path.parent if dataset_dir is None else dataset_dir),
        label_names=label_names,
        duplicate_images=duplicate_images,
        report=CheckReport() if report is None else report,
    )
    return checker.run()


class _Checker:
    """State of one check."""

    def __init__(
        self,
        path: Path,
        *,
        images: str,
        base_dir: str,
        label_names: Collection[str] | None,
        duplicate_images: bool,
        report: CheckReport,
    ) -> None:
        self.path = path
        self.images = images
        self.base_dir = base_dir
        self.label_names = None if label_names is None else frozenset(label_names)
        self.duplicate_images = duplicate_images
        self.report = report
        self.document: dict[str, Any] | None = None
        self.ids = array.array("Q")
        self.patients = array.array("Q")
        self.patient_splits = array.array("B")
        self.contents = array.array("Q")
        self.content_rows = array.array("q")

    def run(self) -> Iterator[Fault]:
        for fault in self._faults():
            self.report.faults[fault.code] += 1
            yield fault

    def _faults(self) -> Iterator[Fault]:
        if not is_jsonl(self.path):
            try:
                self.document = read_document(self.path)
            except ValueError as error:
                fix = "Write a JSON datalist, or name a file of one item a line .jsonl."
                yield Fault(None, None, None, "invalid_json", str(error), fix)
                return
            yield from header_faults(self.document)
            names = self.document.get("label_names")
            if self.label_names is None and isinstance(names, list):
                self.label_names = frozenset(name for name in names if isinstance(name, str))
        # Files are slow and threads hide that; without files threads would only cost.
        files = self.images != "none" or self.duplicate_images
        checked = _ordered(self._check, self._rows()) if files else map(self._check, self._rows())
        for row, faults, content in checked:
            yield from faults
            if content is not None:
                self.contents.append(content)
                self.content_rows.append(row)
        if not sum(self.report.sections.values()) and not self.report.faults:
            fix = "Add items, or build the datalist again."
            yield Fault(None, None, None, "empty_datalist", "the datalist has no item", fix)
        yield from self._between_rows()

    def _rows(self) -> Iterator[Row]:
        """Rows as (row, split, item, faults found so far), and the bookkeeping that goes by row."""
        for row, split, item, faults in read_rows(self.path, self.document):
            if split is not None:
                self.report.sections[split] += 1
            if isinstance(item, dict):
                if isinstance(item.get("id"), str):
                    self.ids.append(hash64(item["id"]))
                if split is not None and isinstance(item.get("patient"), str):
                    self.patients.append(hash64(item["patient"]))
                    self.patient_splits.append(SPLITS.index(split))
            yield row, split, item, faults

    def _check(self, entry: Row) -> _Checked:
        """Faults of one row by itself, and a hash of its image file when contents are compared."""
        row, _, item, faults = entry
        if item is None:
            return row, faults, None
        found = item_faults(item, row)
        if found:
            return row, faults + found, None
        faults = faults + self._content_faults(item, row)
        size = tuple(item["size"]) if "size" in item else None
        if self.images != "none":
            more, measured = image_faults(item, row, base_dir=self.base_dir, pixels=self.images == "pixels")
            faults += more
            size = measured or size
        faults += box_faults(item, row, size)
        return row, faults, self._content(item, 8) if self.duplicate_images else None

    def _content_faults(self, item: Item, row: int) -> list[Fault]:
        faults = []
        if "report" in item:
            blank = [name for name, text in item["report"].items() if not text.strip()]
            fields = [f"report.{name}" for name in blank] if item["report"] else ["report"]
            for name in fields:
                fix = "Write the text, or leave it out."
                faults.append(Fault(row, item["id"], name, "empty_report", "there is no text", fix))
        if self.label_names is not None:
            for name in item.get("labels", {}):
                if name not in self.label_names:
                    message = f"{shorten(name)} is not among the label names"
                    fix = f"Known are {', '.join(sorted(self.label_names)) or 'none'}; add it there, or correct it."
                    faults.append(Fault(row, item["id"], field_name(["labels", name]), "unknown_label", message, fix))
        return faults

    def _content(self, item: Item, length: int) -> int | None:
        """Hash of an image file; None when it cannot be read, which is reported elsewhere."""
        digest = hashlib.blake2b(digest_size=length)
        try:
            with open(os.path.join(self.base_dir, item["image"]), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            return None
        return int.from_bytes(digest.digest(), "little")

    def _between_rows(self) -> Iterator[Fault]:
        """Faults that take two rows, by a second pass over the candidates."""
        ids = _repeated(self.ids)
        patients = _in_two_splits(self.patients, self.patient_splits)
        hashes = _repeated(self.contents)
        rows = {row for row, content in zip(self.content_rows, self.contents, strict=True) if content in hashes}
        if not (ids or patients or rows):
            return
        first_id: dict[str, int] = {}
        first_split: dict[str, tuple[int, str]] = {}
        first_content: dict[int, int] = {}
        for row, split, item, _ in read_rows(self.path, self.document):
            if not isinstance(item, dict):
                continue
            name = item.get("id") if isinstance(item.get("id"), str) else None
            if name is not None and hash64(name) in ids and first_id.setdefault(name, row) != row:
                message = f"row {first_id[name]} has the same id"
                yield Fault(row, name, "id", "duplicate_id", message, "Give each image an id of its own.")
            patient = item.get("patient")
            if split is not None and isinstance(patient, str) and hash64(patient) in patients:
                other_row, other = first_split.setdefault(patient, (row, split))
                if other != split:
                    message = f"this row is in {split}, row {other_row} of the same patient in {other}"
                    fix = "Keep a patient in one split; two persons of one name need a prefix each."
                    yield Fault(row, name, "patient", "patient_in_two_splits", message, fix)
            content = self._content(item, 32) if row in rows else None
            if content is not None and first_content.setdefault(content, row) != row:
                message = f"the file has the same content as that of row {first_content[content]}"
                yield Fault(row, name, "image", "duplicate_image", message, "Keep one of the two.")


def _ordered(function: Callable[[Row], _Checked], rows: Iterable[Row]) -> Iterator[_Checked]:
    """Map over rows in threads, in order, with a bounded number of them on the way."""
    rows = iter(rows)
    running: deque[Future[list[_Checked]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        while True:
            chunk = list(islice(rows, _CHUNK))
            if chunk:
                running.append(pool.submit(lambda chunk=chunk: [function(row) for row in chunk]))  # type: ignore[misc]
            if running and (not chunk or len(running) > 2 * _THREADS):
                yield from running.popleft().result()
            elif not chunk:
                return


def _repeated(hashes: array.array[int]) -> set[int]:
    """Hashes that occur more than once."""
    ordered = np.sort(np.array(hashes, dtype=np.uint64))
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def _in_two_splits(hashes: array.array[int], splits: array.array[int]) -> set[int]:
    """Hashes that occur with more than one split."""
    keys, codes = np.array(hashes, dtype=np.uint64), np.array(splits, dtype=np.uint8)
    order = np.argsort(keys, kind="stable")
    keys, codes = keys[order], codes[order]
    # Within the run of one hash, any change of split shows between neighbors.
    return set(keys[1:][(keys[1:] == keys[:-1]) & (codes[1:] != codes[:-1])].tolist())
