# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""CheXpert of Stanford, and the labels of its test set that CheXlocalize published.

The folder (``CheXpert-v1.0`` or ``CheXpert-v1.0-small``) has ``train.csv``, ``valid.csv`` and the folders ``train`` and
``valid``. The download in batches is to be put together so. The official test list is ``CheXpert/test_labels.csv`` of
CheXlocalize, with its images in ``test`` beside it. Source: Irvin et al., CheXpert, AAAI 2019; Saporta et al., Nat Mach
Intell 2022.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.person import person_of
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "Stanford University Dataset Research Use Agreement"
OBSERVATIONS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five classes that results are published for, in the order of the official fine-tuning of ECAMP."""
_LABELS = {"1": 1, "0": 0, "-1": -1, "": None}
_PARTS = ("train", "valid", "test", "val")
_GET = "give the folder of CheXpert-v1.0, from https://stanfordmlgroup.github.io/competitions/chexpert"


def read_chexpert(
    source: Path,
    *,
    blank: Literal["unknown", "absent"] = "unknown",
    test_list: Path | None = None,
    views: Literal["all", "frontal"] = "all",
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read CheXpert: 223,648 films with 14 observations, the 234 of ``valid`` read by radiologists.

    Without ``test_list`` the films of ``valid`` are the test set, and the patients of ``train`` are parted into
    training and validation. With it they are validation, and the 668 films of the list are the test set. The official
    fine-tuning of ECAMP selects the model on ``valid`` and reports the same films as its test (quirk Q30); nothing here
    does.

    Args:
        source: the folder.
        blank: what a blank cell of ``train.csv`` is. The labeler writes nothing for what a report does not mention, so
            it is unknown; published results mostly count it as absent.
        test_list: the table of the official test set, ``test_labels.csv``.
        views: films of all views, or frontal ones alone.

    Yields:
        Row number, running on through the tables, and an item or a fault. -1 (uncertain) is unknown.

    Raises:
        FileNotFoundError: a table is missing.
        ValueError: a table lacks a column.
    """
    held_out = "validation" if test_list is not None else TEST
    tables: list[tuple[Path, str | tuple[str, ...]]] = [(source / "valid.csv", held_out)]
    tables.append((source / "train.csv", DEVELOPMENT))
    if test_list is not None:
        tables.insert(0, (test_list, TEST))
    for path, _ in tables:
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; {_GET}")
    first = 0
    for path, split in tables:
        table = Table(path)
        table.require("Path")
        names = [name for name in OBSERVATIONS if name in table.columns]
        if not names:
            raise ValueError(f"{path} has none of the 14 observations as a column; it has {', '.join(table.columns)}")
        row = 0
        for row, cells in table:
            if isinstance(cells, Fault):
                yield first + row, cells
            elif views == "all" or "frontal" in cells["Path"]:
                item = _item(first + row, cells, names, blank, source, path)
                yield first + row, item if isinstance(item, Fault) else item | {"split": split}
        first += row


def _item(
    row: int, cells: dict[str, str], names: list[str], blank: str, source: Path, table: Path
) -> dict[str, Any] | Fault:
    parts = PurePosixPath(cells["Path"].replace("\\", "/")).parts
    start = next((place for place, part in enumerate(parts) if part in _PARTS), None)
    if start is None or len(parts) - start != 4:
        message = "the path is not <part>/<patient>/<study>/<image>"
        return layout_fault(row, "wrong_value", message, "Correct column 'Path'.", field="image")
    inside = "/".join(parts[start:])
    name = inside.rpartition(".")[0]
    labels: dict[str, int] = {}
    for observation in names:
        cell = cells[observation].removesuffix(".0")
        if cell not in _LABELS:
            fix = f"Correct column {observation!r}."
            message = f"{cell!r} is no label (1, 0, -1, blank)"
            return layout_fault(row, "label_value", message, fix, name=name, field=f"labels.{observation}")
        value = _LABELS[cell]
        if value is None and blank == "absent":
            value = 0
        if value is not None:
            labels[observation] = value
    _, patient, study, _ = parts[start:]
    item: dict[str, Any] = {"id": name, "image": _image(inside, source, table), "patient": patient}
    item |= {"study": f"{patient}/{study}", "modality": "CXR", "source": "chexpert", "license": LICENSE}
    age = cells.get("Age", "")
    view = cells.get("AP/PA", "") or ("LATERAL" if "lateral" in parts[-1] else "")
    # Nobody in this set is younger than 18; 0 stands for an age that is not known.
    item |= person_of(sex=cells.get("Sex", ""), age="" if age == "0" else age, view=view)
    return item | ({"labels": labels} if labels else {})


def _image(inside: str, source: Path, table: Path) -> str:
    """Path relative to the source, also for the test set, which most people keep elsewhere."""
    beside = table.parent / inside
    if table.parent == source or (source / inside).is_file() or not beside.is_file():
        return inside
    try:
        return Path(os.path.relpath(beside.resolve(), source.resolve())).as_posix()
    except ValueError:  # another drive
        return beside.resolve().as_posix()
