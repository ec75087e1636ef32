# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""No patient and no image file may stand in two splits of a datalist that a run uses."""

from __future__ import annotations

import array
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.lines import existing, hash64
from radbundles.components.data.mask_source import MaskSource
from radbundles.components.data.same_files import content_hash
from radbundles.components.data.schema import SPLITS
from radbundles.components.data.split import patient_key

logger = logging.getLogger(__name__)
_THREADS = 8
_CHUNK = 256
_PART = 1 << 14
_BATCH = 1024  # files that are read whole before it is looked whether that was enough
_SHOWN = 3


class SplitLeakError(ValueError):
    """Splits of a datalist share patients or images."""


@dataclass
class _Rows:
    """What is held of the rows of a datalist, about 150 bytes of each."""

    numbers: array.array[int] = field(default_factory=lambda: array.array("q"))
    splits: array.array[int] = field(default_factory=lambda: array.array("B"))
    patients: array.array[int] = field(default_factory=lambda: array.array("Q"))
    images: list[str] = field(default_factory=list)


def guard_splits(
    datalist: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str] | None = None,
    *,
    allow: bool = False,
    images: bool = True,
) -> dict[str, Any]:
    """Refuse a datalist in which a patient, or a file of the same content, stands in two splits.

    A network that was trained on a patient knows the other images too, so that what is measured on them says little
    (the official lists of SIIM share 124 images between validation and test, quirk Q32). An item without a patient
    counts by its study, else by its id. Files are compared by size, then by a part from the middle, and only those that
    agree in both are read whole; files that are missing are passed over, since readers name them. Pictures that were
    saved anew, with other bytes, are not found.

    Args:
        datalist: JSON or JSON Lines datalist.
        dataset_dir: folder that image paths are relative to, by default the datalist's.
        allow: log a warning in place of the refusal.
        images: compare the files; without, patients only.

    Returns:
        ``items`` in each split, ``patients`` and ``images`` that stand in two splits (of images at least so many, if
        there are more than a thousand), and the number of ``files`` that were looked at.

    Raises:
        FileNotFoundError: there is no such datalist.
        SplitLeakError: there are such patients or images; a ValueError that names rows and ids, never the patients.
    """
    path = existing(datalist)
    base = str(path.parent if dataset_dir is None else dataset_dir)
    rows = _scan(path)
    splits = np.array(rows.splits, np.uint8)
    counts = np.bincount(splits, minlength=len(SPLITS))
    found: dict[str, Any] = {"items": dict(zip(SPLITS, counts.tolist(), strict=True)), "files": 0}
    patients, files = _Pairs(), _Pairs()
    if (counts > 0).sum() > 1:  # what is judged alone has nothing to share
        patients = _pairs(np.array(rows.patients, np.uint64), splits)
        if images:
            files = _same_files([os.path.join(base, image) for image in rows.images], splits)
            found["files"] = len(rows.images)
    found |= {"patients": patients.count, "images": files.count}
    if not patients.count and not files.count:
        logger.info("%s: no patient%s stands in two splits", path.name, " and no image" if found["files"] else "")
        return found
    message = _message(path, rows, patients, files)
    if not allow:
        raise SplitLeakError(message)
    logger.warning("%s", message)
    return found


def guard_sources(sources: Sequence[MaskSource | Mapping[str, Any]], *, allow: bool = False) -> list[dict[str, Any]]:
    """Guard every datalist of a run with several sources, each once; see :func:`guard_splits`.

    Args:
        sources: as :func:`~radbundles.components.data.load_mask_sources` takes them.
        allow: log a warning in place of the refusal.

    Returns:
        What :func:`guard_splits` tells of each datalist.
    """
    known = [MaskSource.of(source) for source in sources]
    places = dict.fromkeys((str(source.datalist), source.dataset_dir) for source in known)
    return [guard_splits(datalist, dataset_dir, allow=allow) for datalist, dataset_dir in places]


@dataclass
class _Pairs:
    """How many keys stand in two splits, and of the first of them two places that do."""

    count: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)


def _scan(path: Path) -> _Rows:
    """Go through the rows; those against the contract are for whoever loads them."""
    rows = _Rows()
    for row, split, item in iter_datalist(path):
        if isinstance(item.get("image"), str) and isinstance(item.get("id"), str):
            rows.numbers.append(row)
            rows.splits.append(SPLITS.index(split))
            rows.patients.append(hash64("\x1f".join(patient_key(item))))
            rows.images.append(item["image"])
    return rows


def _shared(keys: NDArray[Any], splits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the key of each place stands in more than one split: [N]."""
    _, number = np.unique(keys, return_inverse=True)
    held = np.zeros((len(keys), len(SPLITS)), bool)
    held[number, splits] = True
    shared: NDArray[np.bool_] = (held.sum(axis=1) > 1)[number]
    return shared


def _pairs(keys: NDArray[Any], splits: NDArray[np.uint8]) -> _Pairs:
    """Keys that stand in two splits."""
    pairs = _Pairs()
    first: dict[int, int] = {}
    shown: set[int] = set()
    places = np.flatnonzero(_shared(keys, splits))
    for place, key in zip(places.tolist(), keys[places].tolist(), strict=True):
        other = first.setdefault(key, place)
        if splits[other] != splits[place] and key not in shown and len(shown) < _SHOWN:
            shown.add(key)
            pairs.first.append((other, place))
    pairs.count = len(first)
    return pairs


def _same_files(paths: Sequence[str], splits: NDArray[np.uint8]) -> _Pairs:
    """Files of the same content in two splits."""
    sizes = np.array(_in_threads(_size, paths), np.int64)
    places = np.flatnonzero((sizes > 0) & _shared(sizes, splits))
    parts = np.array(_in_threads(_part, [paths[place] for place in places.tolist()]), np.uint64)
    alike = _shared(parts, splits[places])
    places, parts = places[alike], parts[alike]
    pairs = _Pairs()
    for batch in _batches(parts):
        chosen = np.sort(places[batch])
        contents = np.array(_in_threads(_content, [paths[place] for place in chosen.tolist()]), np.uint64)
        more = _pairs(contents, splits[chosen])
        pairs.first += [(int(chosen[one]), int(chosen[two])) for one, two in more.first]
        pairs.count += more.count
        if pairs.count >= _BATCH:
            break  # a copy of a whole collection need not be read to its end
    return pairs


def _batches(keys: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Places in batches of about _BATCH, those of one key together."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    start = 0
    while start < len(order):
        last = ordered[min(start + _BATCH, len(order)) - 1]
        end = int(np.searchsorted(ordered, last, side="right"))
        yield order[start:end]
        start = end


def _in_threads(function: Callable[[str], int], paths: Sequence[str]) -> list[int]:
    """Map over files, of which the waiting takes longer than the work."""
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        done = pool.map(lambda chunk: [function(path) for path in chunk], chunks)
        return [value for values in done for value in values]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _part(path: str) -> int:
    """Hash of the size and of some bytes in the middle, where pictures differ more than at their ends."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, (size - _PART) // 2))
            digest = hashlib.blake2b(size.to_bytes(8, "little") + file.read(_PART), digest_size=8)
            return int.from_bytes(digest.digest(), "little")
    except OSError:
        return hash64(path)  # like no other


def _content(path: str) -> int:
    try:
        return content_hash(path)
    except OSError:
        return hash64(path)


def _message(path: Path, rows: _Rows, patients: _Pairs, files: _Pairs) -> str:
    """What is shared, by row and id, and how to mend it."""
    shown = [place for pairs in (patients, files) for pair in pairs.first[:_SHOWN] for place in pair]
    names = _ids(path, {rows.numbers[place] for place in shown})

    def told(pairs: _Pairs) -> str:
        def one(place: int) -> str:
            row = rows.numbers[place]
            return f"row {row} (id {names[row]!r}, {SPLITS[rows.splits[place]]})"

        return "; ".join(f"{one(first)} and {one(second)}" for first, second in pairs.first[:_SHOWN])

    faults, mends = [], []
    if patients.count:
        noun = "patient stands" if patients.count == 1 else "patients stand"
        faults.append(f"{patients.count} {noun} in two splits, such as {told(patients)}")
        mends.append("split by patient anew with radbundles data build --fractions 0.8,0.1,0.1")
    if files.count:
        noun = "image stands" if files.count == 1 else "images stand"
        least = "at least " if files.count >= _BATCH else ""
        faults.append(f"{least}{files.count} {noun} in two splits as files of the same content, such as {told(files)}")
        mends.append(
            "build the datalist with --drop-duplicates (radbundles data check --duplicate-images lists the copies)"
        )
    return (
        f"{path.name}: {'. And '.join(faults)}. What is measured on one split is then known from the other. "
        f"To mend it, {', and '.join(mends)}; to run all the same, give --allow_leaks true"
    )


def _ids(path: Path, wanted: set[int]) -> dict[int, str]:
    """Ids of some rows."""
    names: dict[int, str] = {}
    for row, _, item in iter_datalist(path):
        if row in wanted:
            names[row] = item["id"]
            if len(names) == len(wanted):
                break
    return names
