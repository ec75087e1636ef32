# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MuReD: two tables, PNG and TIFF in one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data import build_datalist
from radbundles.components.data.layouts.mured import CLASSES


def row(name: str, *present: str) -> str:
    return ",".join([name, *(str(int(label in present)) for label in CLASSES)]) + "\n"


@pytest.fixture
def folder(tmp_path: Path, write: Any, picture: Any) -> Path:
    header = ",".join(["ID", *CLASSES]) + "\n"
    write(tmp_path / "train_data.csv", header + row("aria_c_1", "NORMAL") + row("(12) 5", "DR", "MH").replace("0", "2"))
    write(tmp_path / "val_data.csv", header + row("aria_d_2", "DR", "ODC"))
    color = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    picture(tmp_path / "images/images/aria_d_2.tif", color)
    picture(tmp_path / "images/images/aria_c_1.png", color)
    return tmp_path


def test_the_published_validation_images_are_the_test_set(folder: Path, read: Any) -> None:
    items, faults = read("mured", folder)
    assert {name: item["split"] for name, item in items.items()} == {
        "aria_d_2": "test",
        "aria_c_1": ("training", "validation"),
    }
    assert [name for name, value in items["aria_d_2"]["labels"].items() if value] == ["DR", "ODC"]
    assert tuple(items["aria_c_1"]["labels"]) == CLASSES and len(CLASSES) == 20
    assert [(fault.row, fault.id, fault.code) for fault in faults] == [(5, "(12) 5", "label_value")]


def test_tiff_becomes_png_with_its_colors(folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="without a patient id"):
        build_datalist("mured", folder, tmp_path / "out/o.json")
    document = json.loads((tmp_path / "out/o.json").read_text())
    assert document["label_names"] == list(CLASSES)
    (item,) = document["test"]
    assert item["image"] == "images/mured/aria_d_2.png"
    pixels = np.asarray(Image.open(tmp_path / "out" / item["image"]))
    assert (pixels == np.arange(48).reshape(4, 4, 3)).all()
    assert [part["image"] for part in document["training"] + document["validation"]] == [
        "../images/images/aria_c_1.png"
    ]


def test_a_damaged_or_missing_tiff_is_a_fault(folder: Path, tmp_path: Path) -> None:
    (folder / "images/images/aria_d_2.tif").write_bytes(b"II*\x00damaged")
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("mured", folder, tmp_path / "o.json")
    assert report.faults == {"unreadable_image": 1, "label_value": 1}
    assert "cannot be read as a picture" in report.faults_path.read_text()
    (folder / "train_data.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no train_data.csv; get it from https://doi.org"):
        build_datalist("mured", folder, tmp_path / "o.json")
