# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""IDRiD, the Indian Diabetic Retinopathy Image Dataset.

The folder holds what the three archives unpack to: ``A. Segmentation``, ``B. Disease Grading`` and ``C. Localization``.
Source: Porwal et al., Data 2018;3(3):25.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.find_images import find_file
from radbundles.components.data.layouts.grades import grade_labels
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.pictures import read_inside
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "CC BY 4.0"
LESIONS = {
    "microaneurysms": ("1. Microaneurysms", "MA"),
    "haemorrhages": ("2. Haemorrhages", "HE"),
    "hard exudates": ("3. Hard Exudates", "EX"),
    "soft exudates": ("4. Soft Exudates", "SE"),
    "optic disc": ("5. Optic Disc", "OD"),
}
"""Folder and end of the file name of each structure."""
_GRADES = {"retinopathy": ("Retinopathy grade", "grade", 5), "edema": ("Risk of macular edema", "edema risk", 3)}
_OTHER = {"retinopathy": ("macular_edema_risk", "Risk of macular edema"), "edema": ("dr_grade", "Retinopathy grade")}
_PARTS: dict[str, tuple[str, str | tuple[str, ...]]] = {
    "b. Testing Set": ("test", TEST),
    "a. Training Set": ("train", DEVELOPMENT),
}
_GET = (
    "get the three archives from https://ieee-dataport.org/open-access/indian-diabetic-retinopathy-image-dataset-idrid"
)


def read_idrid(
    source: Path,
    *,
    part: Literal["grading", "segmentation"] = "grading",
    labels: Literal["retinopathy", "edema"] = "retinopathy",
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read one part of IDRiD; the official test images are kept, the others are parted into training and validation.

    ``grading`` reads 516 photographs with classes ``grade 0`` to ``grade 4`` of diabetic retinopathy or ``edema risk
    0`` to ``edema risk 2``; the other grade and, where part C is there, the centers of disc and fovea in pixels are
    metadata. ``segmentation`` reads 81 photographs with four lesions and the optic disc, written as PNG; a lesion
    without a file was not found by the readers, and is absent.

    The 81 photographs are among the 516 under other numbers, and the two parts are split differently: train on one and
    test on the other only after ``radbundles data check --duplicate-images`` on a datalist of both. The set has no
    patients.

    Args:
        source: the folder.
        part: of which task.
        labels: which grade becomes the classes.

    Yields:
        Row number of the table, running on from test to training, or running number of the image; and an item or a
        fault.

    Raises:
        FileNotFoundError: a table or folder is missing.
        ValueError: a table lacks a column.
    """
    return _grading(source, labels) if part == "grading" else _segmentation(source)


def _grading(source: Path, labels: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    tables = {
        "b. Testing Set": find_file(source, "b. IDRiD_Disease Grading_Testing Labels.csv", get=_GET),
        "a. Training Set": find_file(source, "a. IDRiD_Disease Grading_Training Labels.csv", get=_GET),
    }
    column, prefix, count = _GRADES[labels]
    other, other_column = _OTHER[labels]
    first = 0
    for folder, path in tables.items():
        part, split = _PARTS[folder]
        images = Path(os.path.relpath(path.parent.parent, source), "1. Original Images", folder)
        centers = _centers(source, folder)
        table = Table(path)
        table.require("Image name", column, other_column)
        row = 0
        for row, cells in table:
            if isinstance(cells, Fault):
                yield first + row, cells
                continue
            name = cells["Image name"]
            try:
                values = grade_labels(prefix, cells[column], count)
            except ValueError as error:
                fix = f"Correct column {column!r}."
                yield first + row, layout_fault(first + row, "label_value", str(error), fix, name=name or None)
                continue
            # Both parts count from IDRiD_001.
            item: dict[str, Any] = {"id": f"{part}/{name}", "image": (images / f"{name}.jpg").as_posix()}
            item |= {"labels": values, "split": split, "modality": "fundus", "source": "idrid", "license": LICENSE}
            grade = {other: int(cells[other_column])} if cells[other_column].isdigit() else {}
            if metadata := grade | centers.get(name, {}):
                item["metadata"] = metadata
            yield first + row, item
        first += row


def _centers(source: Path, folder: str) -> dict[str, dict[str, float]]:
    """Centers of disc and fovea by image name; part C is not needed for grading."""
    word = folder.split()[1]
    letter = folder[0]
    files = {
        "optic_disc": f"{letter}. IDRiD_OD_Center_{word} Set_Markups.csv",
        "fovea": f"IDRiD_Fovea_Center_{word} Set_Markups.csv",
    }
    centers: dict[str, dict[str, float]] = {}
    for structure, file in files.items():
        try:
            table = Table(find_file(source, file, get=_GET))
        except FileNotFoundError:
            continue
        x, y = (next((name for name in table.columns if name.startswith(axis)), "") for axis in "XY")
        table.require("Image No", x or "X- Coordinate", y or "Y - Coordinate")
        for _, cells in table:
            # Below the points the tables have lines of notes without any.
            if isinstance(cells, Fault) or not (cells["Image No"] and cells[x] and cells[y]):
                continue
            point = {f"{structure}_x": float(cells[x]), f"{structure}_y": float(cells[y])}
            centers.setdefault(cells["Image No"], {}).update(point)
    return centers


def _segmentation(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    truths = "2. All Segmentation Groundtruths"
    roots = sorted(path.parent for path in source.rglob(truths) if path.is_dir())
    if not roots:
        raise FileNotFoundError(f"{source} has no folder {truths}; {_GET}")
    root = roots[0]
    row = 0
    for folder, (_, split) in _PARTS.items():
        for image in sorted((root / "1. Original Images" / folder).glob("*.jpg")):
            row += 1
            files = {
                name: root / truths / folder / inner / f"{image.stem}_{end}.tif"
                for name, (inner, end) in LESIONS.items()
            }
            present = {name: file for name, file in files.items() if file.is_file()}
            item: dict[str, Any] = {"id": image.stem, "image": image.relative_to(source).as_posix(), "split": split}
            item |= {"modality": "fundus", "source": "idrid", "license": LICENSE}
            item["labels"] = {name: int(name in present) for name in files}
            item["made"] = {"masks": {name: partial(read_inside, file) for name, file in present.items()}}
            yield row, item
