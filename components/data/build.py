# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From a collection on disk to a datalist."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, TextIO

from radbundles.components.data.datalist import dump_line, write_datalist
from radbundles.components.data.fault import Fault, hide_patient
from radbundles.components.data.layouts import LAYOUTS, folder_of
from radbundles.components.data.lines import hash64, is_jsonl
from radbundles.components.data.made_pictures import MadePicturesError, place_pictures, write_pictures
from radbundles.components.data.same_files import SameFiles
from radbundles.components.data.schema import SPLITS, item_faults
from radbundles.components.data.split import FRACTIONS, PatientSplitter

Item = dict[str, Any]
CONTENTS: dict[str, Callable[[Item], bool]] = {
    "text": lambda item: any(text.strip() for text in item.get("report", {}).values()),
    "masks": lambda item: bool(item.get("masks")),
    "boxes": lambda item: any(item.get("boxes", {}).values()),
    "labels": lambda item: any(value >= 0 for value in item.get("labels", {}).values()),
}
"""What an item may have; unknown labels (-1) and empty texts do not count."""


@dataclass
class BuildReport:
    """What came of a build.

    Args:
        path: the datalist.
        faults_path: JSON Lines file of the rows that were left out and why; absent when there are none.
        sections: for each split the counts of ``items``, ``patients``, ``text``, ``masks``, ``boxes``, ``labels``.
        faults: number of rows left out, by fault code.
        filtered: number of rows that the filters took out.
    """

    path: Path
    faults_path: Path
    sections: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in SPLITS})
    faults: Counter[str] = field(default_factory=Counter)
    filtered: int = 0

    @property
    def items(self) -> int:
        """Number of items in all sections."""
        return sum(counts["items"] for counts in self.sections.values())


def build_datalist(
    layout: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    fractions: Sequence[float] | None = None,
    only: Collection[str] = (),
    sources: Collection[str] = (),
    dataset_dir: str | os.PathLike[str] | None = None,
    image_dir: str | os.PathLike[str] | None = None,
    drop_duplicates: bool = False,
    **options: Any,
) -> BuildReport:
    """Write the datalist of a collection.

    A row with a fault is left out as a whole and recorded in ``<out>.faults.jsonl``; the rest goes on. Image files must
    exist; whether they can be read is for ``radbundles data check``. The result depends on the collection and the
    arguments only.

    What a collection does not have as a file that is read here (masks as run lengths, pictures as TIFF) is written as
    PNG into folders ``masks`` and ``images`` beside ``out``.

    Args:
        layout: one of :data:`LAYOUTS`.
        source: folder of the collection, or the table of layout ``csv``.
        out: datalist to write, ``.json`` or ``.jsonl``.
        seed: seed of the split by patient.
        fractions: parts of training, validation and test. By default a split that the collection comes with is kept and
            the other items are parted 0.8, 0.1, 0.1 (of these 8 : 1 where the collection has a test part alone);
            fractions that are given part all items anew.
        only: keep items that have all of these: ``text``, ``masks``, ``boxes``, ``labels``.
        sources: keep items of these sources.
        dataset_dir: folder that the paths in the datalist are relative to, by default the folder of the datalist.
        image_dir: folder that image and mask paths of the collection are relative to, by default the folder of source.
        drop_duplicates: leave out, and record, rows whose image file has the content of an earlier one.
        options: options of the layout.

    Returns:
        Counts by section, and of what was left out.

    Raises:
        FileNotFoundError: the source, or a file that the layout needs, is missing.
        ValueError: unknown layout or filter, wrong options, or a table that cannot be read.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    unknown = [name for name in only if name not in CONTENTS]
    if unknown:
        raise ValueError(f"only must be of {', '.join(CONTENTS)}, not {', '.join(map(repr, unknown))}")
    source, out = Path(source), Path(out)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist")
    if layout != "csv" and not source.is_dir():
        raise ValueError(f"{source} is a file; layout {layout!r} reads a folder")

    images = Path(image_dir) if image_dir is not None else folder_of(source, layout)
    prefix = _relative(images, Path(dataset_dir) if dataset_dir is not None else out.parent)
    splitter = _Splitter(seed, fractions)
    made_prefix = _relative(out.parent, Path(dataset_dir) if dataset_dir is not None else out.parent)
    report = BuildReport(out, out.with_name(f"{out.name}.faults.jsonl"))
    label_names: dict[str, None] = {}
    seen: set[str] = set()
    patients: dict[int | None, str] = {}
    copies = _Copies() if drop_duplicates else None

    def rows(record: Callable[[Fault], None]) -> Iterator[tuple[str, Item]]:
        for row, item in LAYOUTS[layout].read(source, **options):
            if isinstance(item, Fault):
                record(item)
                continue
            own = item.pop("split", None)
            made = place_pictures(item, layout)
            faults = item_faults(item, row) or _file_faults(item, row, images, made)
            if faults:
                for fault in faults:
                    record(fault)
                continue
            if not all(CONTENTS[name](item) for name in only) or (sources and item.get("source") not in sources):
                report.filtered += 1
                continue
            split = splitter(item, own)
            patient = hash64(item["patient"]) if "patient" in item else None
            problem = _row_fault(item, row, split, item["id"] in seen, patients.get(patient))
            if problem is not None:
                record(problem)
                continue
            try:
                write_pictures(made, out.parent)
            except MadePicturesError as error:
                record(Fault(row, item["id"], error.field, error.code, hide_patient(str(error), item), error.fix))
                continue
            if copies is not None:
                problem = copies.fault(item, row, (out.parent if item["image"] in made else images) / item["image"])
                if problem is not None:
                    record(problem)
                    continue
            seen.add(item["id"])
            if patient is not None:
                patients[patient] = split
            label_names.update(dict.fromkeys(item.get("labels", ())))
            counts = report.sections[split]
            counts["items"] += 1
            counts.update(name for name, has in CONTENTS.items() if has(item))
            yield split, _rebase(item, prefix, made, made_prefix)
        if not report.items:
            raise _NothingLeftError

    out.parent.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {} if is_jsonl(out) else {"name": out.stem, "label_names": label_names.keys()}
    with _fault_file(report) as record, contextlib.suppress(_NothingLeftError):
        write_datalist(out, rows(record), **header)
    for split, count in Counter(patients.values()).items():
        report.sections[split]["patients"] = count
    return report


class _Splitter:
    """The split of an item: that of the collection, unless fractions are given; what is left open goes by patient."""

    def __init__(self, seed: int, fractions: Sequence[float] | None) -> None:
        self._seed = seed
        self._anew = fractions is not None
        self._all = PatientSplitter(seed, FRACTIONS if fractions is None else fractions)
        self._some: dict[tuple[str, ...], PatientSplitter] = {}

    def __call__(self, item: Item, own: str | tuple[str, ...] | None) -> str:
        if own is None or self._anew:
            return self._all(item)
        if isinstance(own, str):
            return own
        if own not in self._some:
            parts = [part if split in own else 0.0 for split, part in zip(SPLITS, FRACTIONS, strict=True)]
            self._some[own] = PatientSplitter(self._seed, [part / sum(parts) for part in parts])
        return self._some[own](item)


class _Copies:
    """Finds images of the same content, and says so when their labels differ."""

    def __init__(self) -> None:
        self._files = SameFiles()
        self._met: list[tuple[str, int]] = []

    def fault(self, item: Item, row: int, path: Path) -> Fault | None:
        """The fault of a row whose image was there before."""
        said = hash64(repr(sorted(item.get("labels", {}).items())))
        earlier = self._files.first(path)
        self._met.append((item["id"], said))
        if earlier is None:
            return None
        name, labels = self._met[earlier]
        message = f"the file has the same content as that of id {name!r}"
        fix = "That one is kept."
        if labels != said:
            message += ", but the row has other labels"
            fix = "That one is kept; find out which labels are right."
        return Fault(row, item["id"], "image", "duplicate_image", message, fix)


class _NothingLeftError(Exception):
    """Ends the writing of a datalist that would have no item."""


@contextlib.contextmanager
def _fault_file(report: BuildReport) -> Iterator[Callable[[Fault], None]]:
    """Open the fault file at the first fault; one of an earlier build goes away."""
    report.faults_path.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        files: list[TextIO] = []

        def record(fault: Fault) -> None:
            if not files:
                files.append(stack.enter_context(open(report.faults_path, "w", encoding="utf-8")))
            files[0].write(dump_line(fault.to_dict()) + "\n")
            report.faults[fault.code] += 1

        yield record


def _file_faults(item: Item, row: int, images: Path, made: Collection[str]) -> list[Fault]:
    faults = []
    files = [("image", item["image"]), *((f"masks.{name}", mask) for name, mask in item.get("masks", {}).items())]
    for name, file in files:
        if file not in made and not (images / file).is_file():
            code = "missing_image" if name == "image" else "missing_mask"
            message = f"{hide_patient(file, item)!r} does not exist in {str(images)!r}"
            faults.append(Fault(row, item["id"], name, code, message, "Correct the path, or get the file."))
    return faults


def _row_fault(item: Item, row: int, split: str, repeated: bool, other_split: str | None) -> Fault | None:
    if split not in SPLITS:
        message = f"{split!r} is none of {', '.join(SPLITS)}"
        return Fault(row, item["id"], "split", "unknown_split", message, "Correct it, or leave it blank.")
    if repeated:
        fix = "Give each image an id of its own."
        return Fault(row, item["id"], "id", "duplicate_id", "an earlier row has the same id", fix)
    if other_split not in (None, split):
        message = f"the split is {split}, but this patient has an earlier row in {other_split}"
        fix = (
            "Keep a patient in one split, or give fractions to split anew; two persons of one name need a prefix each."
        )
        return Fault(row, item["id"], "split", "patient_in_two_splits", message, fix)
    return None


def _relative(folder: Path, start: Path) -> str:
    """Way from one folder to another with links resolved, so that ``..`` goes where it seems to."""
    try:
        return os.path.relpath(os.path.realpath(folder), os.path.realpath(start))
    except ValueError:  # another drive
        return os.path.realpath(folder)


def _rebase(item: Item, prefix: str, made: Collection[str], made_prefix: str) -> Item:
    def join(path: str) -> str:
        return PurePath(made_prefix if path in made else prefix, path).as_posix()

    rebased = {**item, "image": join(item["image"])}
    if "masks" in item:
        rebased["masks"] = {name: join(mask) for name, mask in item["masks"].items()}
    return rebased
