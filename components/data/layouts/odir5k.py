# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ODIR-5K, Ocular Disease Intelligent Recognition of Peking University, 2019.

The folder has the table and, anywhere below it, the images ``<ID>_left.jpg`` and ``<ID>_right.jpg``. The table is
``full_df.csv`` of the Kaggle copy, or the annotations of the challenge
(``ODIR-5K_Training_Annotations(Updated)_V2.xlsx``), saved as CSV in UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.find_images import find_images
from radbundles.components.data.layouts.person import person_of
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "ODIR-2019 challenge, terms of use"
CLASSES = {
    "N": "Normal",
    "D": "Diabetes",
    "G": "Glaucoma",
    "C": "Cataract",
    "A": "AMD",
    "H": "Hypertension",
    "M": "Pathological Myopia",
    "O": "Other",
}
"""Names of the table's columns, in the order of the official fine-tuning of ECAMP."""
_NORMAL = "normal fundus"
# What is said of the picture and not of the eye.
_PICTURE = frozenset({"lens dust", "low image quality", "image offset", "anterior segment image", "no fundus image"})
_SIDES = ("left", "right")
_OWN = re.compile(r"\[\s*'([A-Z])'\s*\]")
_GET = (
    "give the folder with full_df.csv (https://www.kaggle.com/datasets/andrewmvd/ocular-disease-recognition-odir5k), "
    "or with the annotations of the challenge saved as CSV in UTF-8"
)


def read_odir5k(
    source: Path, *, labels: Literal["eye", "one_hot"] = "eye"
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read ODIR-5K: two photographs of each patient, labeled by patient and described by eye.

    The eight columns ``N`` to ``O`` are of the patient: a disease is 1 if either eye has it. What that says of an eye
    (``labels="eye"``):

    - an eye described as normal has Normal 1 and all diseases 0; any other eye has Normal 0;
    - an eye of which only the quality of the picture is described is unknown altogether;
    - a disease that the patient does not have is 0;
    - a disease of the patient is 1 in an eye that is not normal if it is the only one of the patient, if the other eye
      is normal, or if ``full_df.csv`` names it as the finding of this eye; else nobody says which eye has it: unknown.

    The official fine-tuning of ECAMP takes the one finding that ``full_df.csv`` names for an eye as present and all
    others as absent (``labels="one_hot"``), though an eye may have several.

    Args:
        source: the folder.
        labels: see above.

    Yields:
        Row number of the table, and an item or a fault for each eye: the description as report, the side as metadata
        ``eye``.

    Raises:
        FileNotFoundError: there is no table.
        ValueError: the table lacks a column, or is not one that ``one_hot`` can be read from.
    """
    table = _find_table(source)
    by_eye = "filename" in table.columns
    if labels == "one_hot" and not by_eye:
        raise ValueError(f"{table.path} names no finding of each eye; labels=one_hot needs full_df.csv")
    images = find_images(source, last=("preprocessed_images",))
    for row, cells in table:
        if isinstance(cells, Fault):
            yield row, cells
            continue
        for side in _SIDES:
            file = cells[f"{side.title()}-Fundus"]
            # full_df.csv has a row for each eye, the table of the challenge one for each patient.
            if not by_eye or cells["filename"] == file:
                yield row, _item(row, cells, side, file, images, labels)


def _find_table(source: Path) -> Table:
    paths = [source / "full_df.csv", *sorted(source.glob("*.csv")), *sorted(source.glob("*/*.csv"))]
    for path in paths:
        if path.is_file():
            table = Table(path)
            if {"Left-Fundus", "Right-Fundus"} <= set(table.columns):
                table.require("ID", *(f"{side.title()}-Diagnostic Keywords" for side in _SIDES), *CLASSES)
                return table
    raise FileNotFoundError(f"{source} has no table with the columns Left-Fundus and Right-Fundus; {_GET}")


def _item(
    row: int, cells: dict[str, str], side: str, file: str, images: dict[str, str], labels: str
) -> dict[str, Any] | Fault:
    name = Path(file).stem
    patient = {code: cells[code].removesuffix(".0") for code in CLASSES}
    if not name or not cells["ID"] or not set(patient.values()) <= {"0", "1"}:
        message = "the ID, the file or one of the labels N to O is blank or no 0 or 1"
        return layout_fault(row, "wrong_value", message, "Correct the row.", name=name or None)
    texts = {each: cells[f"{each.title()}-Diagnostic Keywords"] for each in _SIDES}
    # The table of the challenge has the full-width commas of Chinese text.
    keywords = {each: {word.strip().lower() for word in re.split("[,，]", text)} for each, text in texts.items()}
    said = {each: words - _PICTURE - {""} for each, words in keywords.items()}
    normal = {each: words == {_NORMAL} for each, words in said.items()}
    own = _OWN.fullmatch(cells.get("labels", ""))
    if labels == "one_hot":
        if own is None or own[1] not in CLASSES:
            return layout_fault(row, "label_value", "'labels' is not one of N to O", "Correct it.", name=name)
        found = {code: int(code == own[1]) for code in CLASSES}
    elif not said[side]:
        found = dict.fromkeys(CLASSES, -1)
    else:
        other = normal[_SIDES[1 - _SIDES.index(side)]]
        found = _eye(patient, normal[side], other, own[1] if own else None)
    item: dict[str, Any] = {"id": name, "image": images.get(name, file), "patient": f"odir-{cells['ID']}"}
    item |= {"modality": "fundus", "source": "odir-5k", "license": LICENSE, "metadata": {"eye": side}}
    item |= person_of(sex=cells.get("Patient Sex", ""), age=cells.get("Patient Age", ""))
    if texts[side]:
        item["report"] = {"text": ", ".join(part.strip() for part in re.split("[,，]", texts[side]))}
    return item | {"labels": {CLASSES[code]: value for code, value in found.items()}}


def _eye(patient: dict[str, str], normal: bool, other_normal: bool, own: str | None) -> dict[str, int]:
    """Labels of an eye, by code."""
    if normal:
        return {code: int(code == "N") for code in CLASSES}
    diseases = [code for code, value in patient.items() if code != "N" and value == "1"]
    certain = diseases if other_normal or len(diseases) == 1 else [own]
    return {code: (1 if code in certain else -1) if code in diseases else 0 for code in CLASSES}
