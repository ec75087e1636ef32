# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ChestX-ray14 of the NIH Clinical Center.

The folder has ``Data_Entry_2017_v2020.csv`` (or ``Data_Entry_2017.csv``), ``train_val_list.txt``, ``test_list.txt``,
the images (``images/*.png``, or ``images_001/images/*.png`` and so on) and, for boxes, ``BBox_List_2017.csv``. Source:
Wang et al., ChestX-ray8, CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.cells import tidy
from radbundles.components.data.layouts.find_images import find_file, find_images
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.person import person_of
from radbundles.components.data.layouts.table import Table, layout_fault

LICENSE = "NIH Clinical Center, free use with attribution"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The 14 labels in the order of the publication, which the official fine-tuning of ECAMP uses."""
_NO_FINDING = "No Finding"
_BOX_NAMES = {"Infiltrate": "Infiltration"}
_SIDE = 1024.0
_GET = "get it with the images from https://nihcc.app.box.com/v/ChestXray-NIHCC"


def read_chest_xray14(source: Path, *, official_split: bool = True) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read ChestX-ray14: 112,120 films of 30,805 patients with 14 text-mined findings, boxes on 880 of them.

    A finding is 1 where the table names it and 0 elsewhere, as text mining found it. Boxes are kept where they are; an
    image without boxes was not looked at for any, so detection is to take what has none as unknown
    (``missing="unknown"``).

    Args:
        source: the folder.
        official_split: keep the official test list, and part the other patients into training and validation.

    Yields:
        Row number of the table, and an item or a fault. The patient is ``nih-`` and eight digits, as in layout
        ``rsna-pneumonia``, whose films are taken from here.

    Raises:
        FileNotFoundError: a table or list is missing.
        ValueError: a table lacks a column.
    """
    table = Table(find_file(source, "Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", get=_GET))
    table.require("Image Index", "Finding Labels")
    splits = _splits(source) if official_split else {}
    boxes = _boxes(source)
    images = find_images(source)
    for row, cells in table:
        yield row, cells if isinstance(cells, Fault) else _item(row, cells, splits, boxes, images, official_split)


def _item(
    row: int,
    cells: dict[str, str],
    splits: dict[str, str | tuple[str, ...]],
    boxes: dict[str, dict[str, list[list[float]]]],
    images: dict[str, str],
    official_split: bool,
) -> dict[str, Any] | Fault:
    file = cells["Image Index"]
    name = Path(file).stem
    named = set(cells["Finding Labels"].split("|"))
    if unknown := named - {*FINDINGS, _NO_FINDING}:
        message = f"{', '.join(sorted(unknown))!r} is none of the 14 findings"
        return layout_fault(row, "wrong_value", message, "Correct the row.", name=name, field="labels")
    if official_split and file not in splits:
        message = "the image is in neither of the two official lists"
        return layout_fault(row, "unknown_split", message, "Get the lists anew.", name=name, field="split")
    item: dict[str, Any] = {"id": name, "image": images.get(name, file), "patient": f"nih-{name.partition('_')[0]}"}
    item |= {"modality": "CXR", "source": "chest-xray14", "license": LICENSE}
    sex = cells.get("Patient Gender") or cells.get("Patient Sex") or ""
    item |= person_of(sex=sex, age=cells.get("Patient Age", ""), view=cells.get("View Position", ""))
    item["labels"] = {finding: int(finding in named) for finding in FINDINGS}
    if name in boxes:
        item["boxes"] = boxes[name]
    if file in splits:
        item["split"] = splits[file]
    return item


def _splits(source: Path) -> dict[str, str | tuple[str, ...]]:
    get = f"{_GET}, or give the option official_split=false to part all patients anew"
    parts: dict[str, str | tuple[str, ...]] = {"train_val_list.txt": DEVELOPMENT, "test_list.txt": TEST}
    splits: dict[str, str | tuple[str, ...]] = {}
    for name, part in parts.items():
        lines = find_file(source, name, get=get).read_text(encoding="utf-8-sig").split()
        splits.update(dict.fromkeys(lines, part))
    return splits


def _boxes(source: Path) -> dict[str, dict[str, list[list[float]]]]:
    """Boxes by image and finding; the table is not needed for classification."""
    try:
        table = Table(source / "BBox_List_2017.csv")
    except FileNotFoundError:
        return {}
    # The header splits "Bbox [x,y,w,h]" at its commas.
    columns = ("Bbox [x", "y", "w", "h]")
    table.require("Image Index", "Finding Label", *columns)
    found: dict[str, dict[str, list[list[float]]]] = {}
    for row, cells in table:
        if isinstance(cells, Fault):
            raise ValueError(f"{table.path}, row {row}: {cells.message}")
        try:
            x, y, width, height = (float(cells[column]) for column in columns)
        except ValueError:
            raise ValueError(f"{table.path}, row {row}: the box is not four numbers") from None
        box = tidy([x, y, min(x + width, _SIDE), min(y + height, _SIDE)])
        finding = _BOX_NAMES.get(cells["Finding Label"], cells["Finding Label"])
        found.setdefault(Path(cells["Image Index"]).stem, {}).setdefault(finding, []).append(box)
    return found
