# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""COVIDx: lists with blanks, the official test list first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import build_datalist

TRAIN = (
    "379 1e64990d1b40_jumbo.jpeg COVID-19 cohen\n"
    "77 COVID (12).png COVID-19 sirm\n"
    "a1 a1.png normal rsna\n"
    "nan b2.png pneumonia rsna\n"
    "9 c3.png influenza rsna\n"
)
TEST = "5 d4.png pneumonia rsna\n379 e5.png COVID-19 cohen\n"


@pytest.fixture
def folder(tmp_path: Path, write: Any, picture: Any) -> Path:
    write(tmp_path / "train_COVIDx7A.txt", TRAIN)
    write(tmp_path / "test_COVIDx7A.txt", TEST)
    for name in ("1e64990d1b40_jumbo.jpeg", "COVID (12).png", "a1.png", "b2.png"):
        picture(tmp_path / "train" / name)
    for name in ("d4.png", "e5.png"):
        picture(tmp_path / "test" / name)
    return tmp_path


def test_classes_sources_and_patients(folder: Path, read: Any) -> None:
    items, faults = read("covidx", folder)
    assert list(items)[:2] == ["d4.png", "e5.png"]
    assert items["d4.png"]["split"] == "test" and items["a1.png"]["split"] == ("training", "validation")
    assert items["d4.png"]["labels"] == {"normal": 0, "pneumonia": 1, "COVID-19": 0}
    blank = items["COVID (12).png"]
    assert blank["image"] == "train/COVID (12).png" and blank["metadata"] == {"origin": "sirm"}
    assert blank["patient"] == "covidx-77" and "patient" not in items["b2.png"]
    assert [(fault.row, fault.code) for fault in faults] == [(7, "wrong_value")]


def test_a_patient_of_the_test_list_stays_out_of_training(folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("covidx", folder, tmp_path / "o.json")
    assert report.sections["test"]["items"] == 2
    assert report.faults == {"patient_in_two_splits": 1, "wrong_value": 1}


def test_two_classes_with_a_validation_list(tmp_path: Path, read: Any, write: Any) -> None:
    write(tmp_path / "train.txt", "1 a.png positive bimcv\n2 b.png negative\n")
    write(tmp_path / "val.txt", "3 c.png negative cohen\n")
    write(tmp_path / "test.txt", "4 d.png positive ricord\n")
    items, _ = read("covidx", tmp_path)
    assert {name: item["split"] for name, item in items.items()} == {
        "d.png": "test",
        "c.png": "validation",
        "a.png": "training",
        "b.png": "training",
    }
    assert [item["labels"]["COVID-19"] for item in items.values()] == [1, 0, 1, 0]
    assert "metadata" not in items["b.png"]


def test_the_version_is_chosen_or_named(folder: Path, read: Any, write: Any) -> None:
    write(folder / "test_COVIDx9A.txt", TEST)
    with pytest.raises(ValueError, match="versions 7A, 9A; choose by version=7A"):
        read("covidx", folder)
    assert len(read("covidx", folder, version="7A")[0]) == 6
    with pytest.raises(FileNotFoundError, match=r"train_COVIDx9A.txt does not exist; make it as"):
        read("covidx", folder, version="9A")
