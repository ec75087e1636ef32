# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""CheXpert: what a blank says, and a test set that the model is not chosen on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import build_datalist, load_datalist

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema,Pleural Effusion\n"
BOTH = ("training", "validation")


@pytest.fixture
def folder(tmp_path: Path, write: Any) -> Path:
    root = tmp_path / "CheXpert-v1.0-small"
    path = "CheXpert-v1.0-small/train/patient00001/study1/"
    write(
        root / "train.csv",
        f"{HEADER}{path}view1_frontal.jpg,Female,68,Frontal,AP,1.0,,0.0,-1.0\n"
        f"{path}view2_lateral.jpg,Female,68,Lateral,,,1.0,,\n"
        "CheXpert-v1.0-small/train/patient00002/study3/view1_frontal.jpg,Unknown,0,Frontal,PA,,,,\n",
    )
    path = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg"
    write(root / "valid.csv", f"{HEADER}{path},Male,73,Frontal,AP,0.0,1.0,0.0,1.0\n")
    return root


def test_without_a_test_list_valid_is_the_test_set(folder: Path, read: Any) -> None:
    items, faults = read("chexpert", folder)
    assert faults == []
    assert {name: item["split"] for name, item in items.items()} == {
        "valid/patient64541/study1/view1_frontal": "test",
        "train/patient00001/study1/view1_frontal": BOTH,
        "train/patient00001/study1/view2_lateral": BOTH,
        "train/patient00002/study3/view1_frontal": BOTH,
    }
    frontal, lateral = (items[f"train/patient00001/study1/view{view}"] for view in ("1_frontal", "2_lateral"))
    assert frontal["image"] == "train/patient00001/study1/view1_frontal.jpg"
    assert (frontal["patient"], frontal["study"]) == ("patient00001", "patient00001/study1")
    assert (frontal["sex"], frontal["age"], frontal["view"]) == ("F", 68, "AP") and lateral["view"] == "LATERAL"
    nobody = items["train/patient00002/study3/view1_frontal"]
    assert "sex" not in nobody and "age" not in nobody and "labels" not in nobody


def test_what_a_blank_says_is_an_option(folder: Path, read: Any) -> None:
    name = "train/patient00001/study1/view1_frontal"
    assert read("chexpert", folder)[0][name]["labels"] == {"No Finding": 1, "Edema": 0, "Pleural Effusion": -1}
    absent = read("chexpert", folder, blank="absent")[0][name]["labels"]
    assert absent == {"No Finding": 1, "Cardiomegaly": 0, "Edema": 0, "Pleural Effusion": -1}


def test_frontal_views_alone(folder: Path, read: Any) -> None:
    items, _ = read("chexpert", folder, views="frontal")
    assert len(items) == 3 and all("frontal" in name for name in items)


def test_the_official_test_list_makes_valid_the_validation_set(
    folder: Path, tmp_path: Path, read: Any, write: Any, picture: Any
) -> None:
    other = tmp_path / "chexlocalize/CheXpert"
    row = "test/patient64741/study1/view1_frontal.jpg,0.0,1.0,0.0,1.0\n"
    table = write(other / "test_labels.csv", f"Path,No Finding,Cardiomegaly,Edema,Pleural Effusion\n{row}")
    picture(other / "test/patient64741/study1/view1_frontal.jpg")
    items, _ = read("chexpert", folder, test_list=table)
    splits = {name.split("/")[0]: item["split"] for name, item in items.items()}
    assert splits == {"test": "test", "valid": "validation", "train": BOTH}
    assert items["test/patient64741/study1/view1_frontal"]["labels"]["Cardiomegaly"] == 1
    out = tmp_path / "out/list.json"
    report = build_datalist("chexpert", folder, out, test_list=table)
    assert report.faults == {"missing_image": 4}  # only the test image has been made
    assert Path(load_datalist(out, "test")[0]["image"]).is_file()


def test_faults_and_missing_tables(folder: Path, read: Any, write: Any) -> None:
    write(
        folder / "train.csv", f"{HEADER}train/patient1/view.jpg,,,,,,,,\ntrain/patient1/study1/v_frontal.jpg,,,,,2,,,\n"
    )
    _, faults = read("chexpert", folder)
    assert [(fault.row, fault.code) for fault in faults] == [(4, "wrong_value"), (5, "label_value")]
    write(folder / "train.csv", "Path,Mass\n")
    with pytest.raises(ValueError, match="none of the 14 observations as a column; it has Path, Mass"):
        read("chexpert", folder)
    (folder / "valid.csv").unlink()
    with pytest.raises(FileNotFoundError, match="valid.csv does not exist; give the folder of CheXpert-v1.0, from"):
        read("chexpert", folder)
