# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""APTOS 2019: grades become classes that exclude each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_grades(tmp_path: Path, read: Any, write: Any, picture: Any) -> None:
    write(tmp_path / "train.csv", "id_code,diagnosis\n000c1434d8d7,2\n001639a390f0,4\nb,5\n")
    picture(tmp_path / "train_images/000c1434d8d7.png")
    picture(tmp_path / "test_images/001639a390f0.png")
    items, faults = read("aptos2019", tmp_path)
    assert items["000c1434d8d7"]["labels"] == {"grade 0": 0, "grade 1": 0, "grade 2": 1, "grade 3": 0, "grade 4": 0}
    assert items["000c1434d8d7"]["image"] == "train_images/000c1434d8d7.png" and "split" not in items["000c1434d8d7"]
    assert items["001639a390f0"]["image"] == "train_images/001639a390f0.png"  # never a test image
    assert [(fault.row, fault.code, fault.message) for fault in faults] == [
        (4, "label_value", "'5' is no grade from 0 to 4")
    ]


def test_no_table(tmp_path: Path, read: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"no train.csv; get it from .*aptos2019"):
        read("aptos2019", tmp_path)
