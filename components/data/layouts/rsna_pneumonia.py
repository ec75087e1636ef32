# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RSNA Pneumonia Detection Challenge 2018 (stage 2).

The folder has ``stage_2_train_labels.csv``, ``stage_2_train_images/<patientId>.dcm`` (or PNG of the same names and of
1024 x 1024 pixels) and, if they are there, ``stage_2_detailed_class_info.csv`` and
``pneumonia-challenge-dataset-mappings_2018.json``, in which the RSNA says which film of ChestX-ray14 each is. Source:
Shih et al., Radiol Artif Intell 2019;1(1):e180041.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.cells import tidy
from radbundles.components.data.layouts.find_images import find_file, find_images
from radbundles.components.data.layouts.person import dicom_person
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "RSNA Pneumonia Detection Challenge, terms of use (not commercial)"
PNEUMONIA = "Pneumonia"
_BOX = ("x", "y", "width", "height")
_GET = "get it from https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data"


def read_rsna_pneumonia(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read the RSNA set: 26,684 films with boxes of lung opacity, all films read, so no box means absent.

    The challenge's ``patientId`` is of the image: one patient has several. With the mapping the patient is that of
    ChestX-ray14 (``nih-`` and eight digits, as in layout ``chest-xray14``) and stays in one split. Without it there is
    no patient, and the build warns. The set has no test part with labels: all is parted by patient. The official
    detection of ECAMP has lists by image, which it looks for in another folder than they are in (quirk Q39), and
    reports its validation list as test (quirk Q38).

    Args:
        source: the folder.

    Yields:
        First row of the image in the table of labels, and an item or a fault: label ``Pneumonia``, its boxes, the class
        of ``stage_2_detailed_class_info.csv`` as metadata, sex, age and view of the DICOM header.

    Raises:
        FileNotFoundError: there is no table of labels.
        ValueError: a table lacks a column, or the mapping cannot be read.
    """
    table = Table(find_file(source, "stage_2_train_labels.csv", get=_GET))
    table.require("patientId", *_BOX, "Target")
    mapping, classes, images = _mapping(source), _classes(source), find_images(source)
    found: dict[str, tuple[int, dict[str, Any] | Fault]] = {}
    for row, cells in table:
        name = "" if isinstance(cells, Fault) else cells["patientId"]
        if isinstance(cells, Fault) or not name:
            yield row, cells if isinstance(cells, Fault) else layout_fault(row, "missing_field", "no id", "Fill it in.")
            continue
        first, item = found.setdefault(name, (row, {"id": name, "labels": {PNEUMONIA: 0}}))
        if not isinstance(item, Fault):
            try:
                _add_box(item, cells)
            except ValueError as error:
                fix = "Correct the row, or get the table anew."
                found[name] = first, layout_fault(row, "wrong_value", str(error), fix, name=name, field="boxes")
    for name, (row, item) in found.items():
        if isinstance(item, Fault):
            yield row, item
            continue
        item |= {"image": images.get(name, f"stage_2_train_images/{name}.dcm"), "modality": "CXR"}
        item |= {"source": "rsna-pneumonia", "license": LICENSE, **dicom_person(source / item["image"])}
        item.pop("patient", None)  # the header repeats the id of the image
        if name in mapping:
            item["patient"] = f"nih-{mapping[name].partition('_')[0]}"
        metadata = {"class": classes.get(name), "chest_xray14": mapping.get(name)}
        if known := {key: value for key, value in metadata.items() if value}:
            item["metadata"] = known
        yield row, item


def _add_box(item: dict[str, Any], cells: dict[str, str]) -> None:
    target = cells["Target"].removesuffix(".0")
    if target == "0":
        return
    if target != "1":
        raise ValueError(f"Target is {target!r}, neither 0 nor 1")
    try:
        x, y, width, height = (float(cells[column]) for column in _BOX)
    except ValueError:
        raise ValueError("Target is 1, but x, y, width and height are not four numbers") from None
    item["labels"][PNEUMONIA] = 1
    item.setdefault("boxes", {}).setdefault(PNEUMONIA, []).append(tidy([x, y, x + width, y + height]))


def _classes(source: Path) -> dict[str, str]:
    try:
        table = Table(source / "stage_2_detailed_class_info.csv")
    except FileNotFoundError:
        return {}
    table.require("patientId", "class")
    return {cells["patientId"]: cells["class"] for _, cells in table if not isinstance(cells, Fault)}


def _mapping(source: Path) -> dict[str, str]:
    """Film of ChestX-ray14 of each image."""
    path = source / "pneumonia-challenge-dataset-mappings_2018.json"
    if not path.is_file():
        return {}
    try:
        return {entry["subset_img_id"]: entry["img_id"] for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} is not the mapping of the RSNA: a JSON list of objects with subset_img_id and img_id"
        ) from None
