# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""COVIDx of COVID-Net: chest radiographs of several collections, put together by a script or taken from Kaggle.

The folder has ``train`` and ``test`` with the images, and lists of ``patient file class source`` with blanks between:
``train_COVIDx7A.txt`` and ``test_COVIDx7A.txt`` (or another version) of three classes, or ``train.txt``, ``test.txt``
and, in later releases, ``val.txt`` of two. Source: Wang, Lin and Wong, COVID-Net, Sci Rep 2020;10:19549.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.table import layout_fault

LICENSE = "those of the collections that COVIDx is made of"
CLASSES = ("normal", "pneumonia", "COVID-19")
"""In the order of the integers 0, 1, 2 of the official fine-tuning of ECAMP."""
_LABELS = {
    **{name: {other: int(other == name) for other in CLASSES} for name in CLASSES},
    "positive": {"COVID-19": 1},
    "negative": {"COVID-19": 0},
}
_NO_PATIENT = frozenset({"nan", "none", "unknown"})
_TEST_LIST = re.compile(r"test(?:_COVIDx(\w+))?\.txt")
_CXR = "CXR"
_GET = "make it as https://github.com/lindawangg/COVID-Net/blob/master/docs/COVIDx.md says"


def read_covidx(source: Path, *, version: str | None = None) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read COVIDx: the official test list is kept, the patients of the others are parted.

    The test list comes first, so that an image or a patient that stands in both lists stays in the test set and is left
    out of the rest with a fault.

    Args:
        source: the folder.
        version: which lists to read if there are several: ``7A``, ``9B`` ..., or ``CXR`` for ``train.txt`` and
            ``test.txt``.

    Yields:
        Line number, running on through the lists, and an item or a fault. Labels of three classes exclude each other;
        those of two are ``COVID-19`` 1 or 0. Which collection an image comes from is metadata ``origin``.

    Raises:
        FileNotFoundError: a list is missing.
        ValueError: there are lists of several versions and none is chosen.
    """
    lists = _lists(source, version)
    splits: dict[str, str | tuple[str, ...]] = {"test": TEST, "val": "validation", "train": DEVELOPMENT}
    if "val" in lists:
        splits["train"] = "training"
    first = 0
    for part, path in lists.items():
        folder = part if (source / part).is_dir() else "train"
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        for row, line in enumerate(lines, start=first + 1):
            if line.strip():
                item = _item(row, line.split(), folder)
                yield row, item if isinstance(item, Fault) else item | {"split": splits[part]}
        first += len(lines)


def _lists(source: Path, version: str | None) -> dict[str, Path]:
    """The lists of one version by part, the test list first."""
    names = sorted(path.name for path in source.glob("test*.txt"))
    versions = [match[1] or _CXR for match in map(_TEST_LIST.fullmatch, names) if match]
    if version is None and len(versions) > 1:
        raise ValueError(f"{source} has lists of the versions {', '.join(versions)}; choose by version={versions[0]}")
    chosen = version or (versions[0] if versions else "7A")
    suffix = "" if chosen == _CXR else f"_COVIDx{chosen}"
    lists = {part: source / f"{part}{suffix}.txt" for part in ("test", "val", "train")}
    for part, path in list(lists.items()):
        if not path.is_file():
            if part != "val":
                raise FileNotFoundError(f"{path} does not exist; {_GET}")
            del lists[part]
    return lists


def _item(row: int, words: list[str], folder: str) -> dict[str, Any] | Fault:
    # File names may hold blanks; the class is last, or last but one where the source follows it.
    place = next((place for place in (-2, -1) if len(words) > 2 and words[place] in _LABELS), None)
    if place is None:
        message = f"the line does not end with one of {', '.join(_LABELS)} and the source"
        return layout_fault(row, "wrong_value", message, "Write 'patient file class source'.")
    file = " ".join(words[1:place])
    if not file:
        return layout_fault(row, "missing_field", "the line names no file", "Write 'patient file class source'.")
    item: dict[str, Any] = {"id": file, "image": f"{folder}/{file}", "modality": "CXR", "source": "covidx"}
    item |= {"license": LICENSE, "labels": dict(_LABELS[words[place]])}
    if words[0].lower() not in _NO_PATIENT:
        item["patient"] = f"covidx-{words[0]}"
    if place == -2:
        item["metadata"] = {"origin": words[-1]}
    return item
