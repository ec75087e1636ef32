# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""SIIM-ACR Pneumothorax Segmentation 2019.

The folder has ``train-rle.csv`` or ``stage_2_train.csv`` (``ImageId``, ``EncodedPixels``, one row a mask) and the
images anywhere below it, as ``<ImageId>.dcm`` or as PNG of that name. Masks are drawn on 1024 x 1024 pixels. Source:
Filice et al., J Digit Imaging 2020;33:490-496.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.find_images import find_file, find_images
from radbundles.components.data.layouts.own_split import TEST
from radbundles.components.data.layouts.person import dicom_person
from radbundles.components.data.layouts.rle import SIIM_SIDE, decode_relative_rle
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "SIIM-ACR Pneumothorax Segmentation, terms of use (not commercial)"
PNEUMOTHORAX = "Pneumothorax"
_TABLES = ("train-rle.csv", "stage_2_train.csv")
_LISTS = {
    TEST: ("test_list.csv", "test.csv"),
    "validation": ("val_list.csv", "val.csv", "valid.csv"),
    "training": ("train_list.csv", "train.csv", "train_list_10.csv", "train_list_1.csv"),
}
_GET = "get it from https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation/data"


def read_siim_acr(source: Path, *, lists: Path | None = None) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read SIIM-ACR: the masks of an image are united and written as one PNG; an image without one has label 0.

    The set is parted by the patient of the DICOM header, by image where there are no DICOM files. The lists of the
    official fine-tuning of ECAMP part rows instead: an image with several masks stands in several lists (124 in both
    validation and test), each time with a part of its mask (quirk Q32). With ``lists`` an image gets one place, in the
    test set if any list puts it there, else in validation, and its whole mask.

    Args:
        source: the folder.
        lists: folder of the official lists, ``train_list.csv`` (or one of its fractions), ``val_list.csv`` and
            ``test_list.csv``, to keep their parts as far as they do not leak.

    Yields:
        First row of the image, and an item or a fault: label and mask ``Pneumothorax``, sex, age and view of the
        header.

    Raises:
        FileNotFoundError: a table or list is missing.
        ValueError: a table lacks a column.
    """
    splits: dict[str, str] = {}
    tables = []
    if lists is not None:
        for split, names in _LISTS.items():
            path = find_file(lists, *names, get="give the folder of the three official lists, or no lists")
            tables.append(path)
            for image in _column(path):
                splits.setdefault(image, split)  # the test list is looked at first
    if lists is None or any((source / name).is_file() for name in _TABLES):
        tables.insert(0, find_file(source, *_TABLES, get=_GET))
    masks: dict[str, set[str]] = {}
    rows: dict[str, int] = {}
    first = 0
    for path in tables:
        row = 0
        for row, cells in _table(path):
            if isinstance(cells, Fault):
                yield first + row, cells
            elif not cells["ImageId"]:
                yield first + row, layout_fault(first + row, "missing_field", "no ImageId", "Fill it in.")
            elif lists is None or cells["ImageId"] in splits:
                rows.setdefault(cells["ImageId"], first + row)
                masks.setdefault(cells["ImageId"], set()).add(cells["EncodedPixels"])
        first += row
    images = find_images(source)
    # Of a patient in several official parts the test set keeps its films; the build leaves out the others.
    order = {TEST: 0, "validation": 1, "training": 2}
    for name in sorted(rows, key=lambda name: (order.get(splits.get(name, ""), 0), rows[name])):
        item = _item(name, masks[name], images.get(name, f"{name}.dcm"), source)
        yield rows[name], item | ({"split": splits[name]} if name in splits else {})


def _table(path: Path) -> Table:
    table = Table(path)
    table.require("ImageId", "EncodedPixels")
    return table


def _column(path: Path) -> Iterator[str]:
    return (cells["ImageId"] for _, cells in _table(path) if not isinstance(cells, Fault))


def _item(name: str, encoded: set[str], image: str, source: Path) -> dict[str, Any]:
    runs = sorted(encoded - {"-1", ""})
    item: dict[str, Any] = {"id": name, "image": image, "modality": "CXR", "source": "siim-acr", "license": LICENSE}
    item |= dicom_person(source / image) | {"labels": {PNEUMOTHORAX: int(bool(runs))}}
    if "patient" in item:
        item["patient"] = f"siim-{item['patient']}"
    if runs:
        item["made"] = {"masks": {PNEUMOTHORAX: partial(_draw, runs, source / image)}}
    return item


def _draw(runs: list[str], image: Path) -> NDArray[np.bool_]:
    """Unite the masks of an image, in its size: copies of the set are often smaller than the original."""
    from PIL import Image

    from radbundles.components.data.image_header import read_header

    inside = np.zeros((SIIM_SIDE, SIIM_SIDE), np.bool_)
    for run in runs:
        inside |= decode_relative_rle(run)
    width, height = read_header(image).size
    if width != height:
        raise ValueError(f"the image is {width} x {height}, but the masks were drawn on square images")
    if width == SIIM_SIDE:
        return inside
    return np.asarray(Image.fromarray(inside).resize((width, height), Image.Resampling.NEAREST))
