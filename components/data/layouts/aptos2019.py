# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""APTOS 2019 Blindness Detection.

The folder has ``train.csv`` (``id_code``, ``diagnosis``) and the images ``train_images/<id_code>.png``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.find_images import find_file, find_images
from radbundles.components.data.layouts.grades import grade_labels
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "APTOS 2019 Blindness Detection, competition rules (not commercial)"
GRADES = 5
_GET = "get it from https://www.kaggle.com/c/aptos2019-blindness-detection/data"


def read_aptos2019(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read APTOS 2019: 3,662 photographs with a grade of diabetic retinopathy, as classes ``grade 0`` to ``grade 4``.

    The publisher keeps the grades of the test images, so all is parted anew. The set has no patients, and some images
    stand in it twice: look for them with ``radbundles data check --duplicate-images``.

    Args:
        source: the folder.

    Yields:
        Row number, and an item or a fault.

    Raises:
        FileNotFoundError: there is no ``train.csv``.
        ValueError: the table lacks a column.
    """
    table = Table(find_file(source, "train.csv", get=_GET))
    table.require("id_code", "diagnosis")
    images = find_images(source, skip=("test_images",))
    for row, cells in table:
        if isinstance(cells, Fault):
            yield row, cells
            continue
        name = cells["id_code"]
        try:
            labels = grade_labels("grade", cells["diagnosis"], GRADES)
        except ValueError as error:
            yield row, layout_fault(row, "label_value", str(error), "Correct column 'diagnosis'.", name=name or None)
            continue
        item: dict[str, Any] = {"id": name, "image": images.get(name, f"train_images/{name}.png"), "labels": labels}
        yield row, item | {"modality": "fundus", "source": "aptos2019", "license": LICENSE}
