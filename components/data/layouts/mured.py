# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MuReD, Multi-Label Retinal Diseases.

The folder has ``train_data.csv`` and ``val_data.csv`` (``ID`` and 20 columns of 0 and 1) and the images
``images/images/<ID>.png`` or ``.tif``. Source: Rodriguez, AlMarzouqi and Liatsis, IEEE JBHI 2023;27(6):2739-2750.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.find_images import find_file, find_images
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.pictures import image_fields
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "MuReD, and the licenses of ARIA, STARE and RFMiD that it is made of"
CLASSES = (
    *("DR", "NORMAL", "MH", "ODC", "TSLN", "ARMD", "DN", "MYA", "BRVO", "ODP"),
    *("CRVO", "CNV", "RS", "ODE", "LS", "CSR", "HTR", "ASR", "CRS", "OTHER"),
)
"""The 20 labels in the order of the table, which the official fine-tuning of ECAMP uses."""
_GET = "get it from https://doi.org/10.17632/pc4mb3h8hz"


def read_mured(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read MuReD: 2,208 photographs with 20 labels.

    The 444 images of ``val_data.csv`` are the test set, as in published results; the others are parted into training
    and validation. The set has no patients. TIFF images are written as PNG.

    Args:
        source: the folder.

    Yields:
        Row number, running on through the tables, and an item or a fault.

    Raises:
        FileNotFoundError: a table is missing.
        ValueError: a table lacks a column.
    """
    images = find_images(source)
    first = 0
    parts: dict[str, str | tuple[str, ...]] = {"val_data.csv": TEST, "train_data.csv": DEVELOPMENT}
    tables = {Table(find_file(source, name, get=_GET)): split for name, split in parts.items()}
    for table, split in tables.items():
        table.require("ID", *CLASSES)
        row = 0
        for row, cells in table:
            yield first + row, cells if isinstance(cells, Fault) else _item(first + row, cells, source, images, split)
        first += row


def _item(
    row: int, cells: dict[str, str], source: Path, images: dict[str, str], split: str | tuple[str, ...]
) -> dict[str, Any] | Fault:
    name = cells["ID"]
    values = {label: cells[label].removesuffix(".0") for label in CLASSES}
    for label, value in values.items():
        if value not in ("0", "1"):
            fix = f"Correct column {label!r}."
            return layout_fault(row, "label_value", f"{value!r} is neither 0 nor 1", fix, name=name or None)
    item: dict[str, Any] = {"id": name, "modality": "fundus", "source": "mured", "license": LICENSE, "split": split}
    item |= image_fields(source, images.get(name, f"images/images/{name}.png"))
    return item | {"labels": {label: int(value) for label, value in values.items()}}
