# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Add lung zone phrases to the items of a datalist that have lung masks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from radbundles.components.data.datalist import dump_line, iter_datalist, read_document, write_datalist
from radbundles.components.data.fault import Fault, hide_patient, shorten
from radbundles.components.data.image_header import read_header
from radbundles.components.data.lines import existing, is_jsonl
from radbundles.components.data.zone_phrases import LUNG_ZONES, Mask, lung_zone_phrases, split_lungs

__all__ = ["ZoneReport", "add_zone_phrases"]

Item = dict[str, Any]
_PARTED, _JOINED = ("left lung", "right lung"), ("lungs",)


@dataclass
class ZoneReport:
    """What came of adding zone phrases.

    Args:
        path: the datalist that was written.
        faults_path: JSON Lines file of the items whose masks gave no zones, and why; absent when there are none.
        added: number of items that got zone phrases.
        without_masks: number of items without lung masks, kept as they were.
        faults: number of items whose masks gave no zones, by fault code; these were kept as they were.
    """

    path: Path
    faults_path: Path
    added: int = 0
    without_masks: int = 0
    faults: Counter[str] = field(default_factory=Counter)


def add_zone_phrases(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dataset_dir: str | os.PathLike[str] | None = None,
) -> ZoneReport:
    """Write a datalist anew with the phrases of :func:`lung_zone_phrases`.

    Items are streamed. One with the masks ``left lung`` and ``right lung``, or with a mask ``lungs`` of both, gets the
    eight phrases after those it has; the others are kept as they are. Doing it twice changes nothing more. A mask that
    cannot be read, or has no two lungs, is recorded in ``<out>.faults.jsonl``, and its item is kept without zones.

    Args:
        path: datalist.
        out: datalist to write, ``.json`` or ``.jsonl``; the same file is fine.
        dataset_dir: folder that the paths of both datalists are relative to. By default each has its own folder, and
            paths are changed when the two differ.

    Returns:
        Counts.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: a row cannot be read, or ``out`` has a wrong suffix.
    """
    path, out = existing(path), Path(out)
    folder = Path(path.parent if dataset_dir is None else dataset_dir)
    start = out.parent if dataset_dir is None else folder
    report = ZoneReport(out, out.with_name(f"{out.name}.faults.jsonl"))
    faults: list[Fault] = []

    def rows() -> Iterator[tuple[str, Item]]:
        for row, split, item in iter_datalist(path):
            yield split, _move(_with_zones(item, row, folder, report, faults), folder, start)

    document = {} if is_jsonl(path) or is_jsonl(out) else read_document(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_datalist(out, rows(), name=document.get("name"), label_names=document.get("label_names"))
    report.faults_path.unlink(missing_ok=True)
    if faults:
        report.faults_path.write_text("".join(dump_line(fault.to_dict()) + "\n" for fault in faults), encoding="utf-8")
        report.faults.update(fault.code for fault in faults)
    return report


def _with_zones(item: Item, row: int, folder: Path, report: ZoneReport, faults: list[Fault]) -> Item:
    masks = item.get("masks", {})
    names = next((names for names in (_PARTED, _JOINED) if masks.keys() >= set(names)), None)
    if names is None:
        report.without_masks += 1
        return item
    field = f"masks.{names[0]}"
    try:
        found = _read_masks(folder, item["image"], {name: masks[name] for name in names})
    except Exception as error:  # a decoder may raise anything on a broken file; one file must not end the job
        reason = hide_patient(shorten(f"{type(error).__name__}: {error}", 300), item)
        faults.append(Fault(row, item["id"], field, "unreadable_mask", reason, "See radbundles data check."))
        return item
    try:
        phrases = lung_zone_phrases(*(found if len(found) == 2 else split_lungs(found[0])))
    except ValueError as error:
        fix = "Correct the masks, or name them left lung and right lung."
        faults.append(Fault(row, item["id"], field, "wrong_value", str(error), fix))
        return item
    report.added += 1
    others = [phrase for phrase in item.get("phrases", []) if phrase["text"] not in LUNG_ZONES]
    return {**item, "phrases": others + phrases}


def _read_masks(folder: Path, image: str, masks: Mapping[str, str]) -> list[Mask]:
    from radbundles.transforms import LoadMaskd  # torch and MONAI: only once there is a mask to read

    width, height = read_header(folder / image).size
    # Only the size of the picture is wanted, so that a mask of another size is refused.
    picture = np.broadcast_to(np.uint8(0), (1, height, width))
    paths = {name: str(folder / mask) for name, mask in masks.items()}
    loaded = LoadMaskd("masks", classes=list(masks), missing="error")({"image": picture, "masks": paths})["masks"]
    return [channel.numpy() != 0 for channel in loaded]


def _move(item: Item, folder: Path, start: Path) -> Item:
    """Make relative paths start from another folder."""
    here, there = os.path.realpath(folder), os.path.realpath(start)
    if here == there:
        return item

    def move(path: str) -> str:
        full = os.path.join(here, path)
        try:
            return path if os.path.isabs(path) else PurePath(os.path.relpath(full, there)).as_posix()
        except ValueError:  # another drive
            return PurePath(full).as_posix()

    moved = {**item, "image": move(item["image"])}
    if "masks" in item:
        moved["masks"] = {name: move(mask) for name, mask in item["masks"].items()}
    return moved
