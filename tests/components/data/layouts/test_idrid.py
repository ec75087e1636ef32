# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""IDRiD: grades and centers, or masks of lesions; the official test images stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radbundles.components.data import build_datalist, load_datalist
from radbundles.transforms.load_mask import read_mask

GRADING = "B.%20Disease%20Grading/B. Disease Grading"
SEGMENTATION = "A. Segmentation"
CENTERS = "C. Localization/2. Groundtruths"


@pytest.fixture
def folder(tmp_path: Path, write: Any, picture: Any) -> Path:
    header = "Image name,Retinopathy grade,Risk of macular edema ,,,,,,,,,\n"
    truths = f"{GRADING}/2. Groundtruths"
    train = f"{header}IDRiD_001,3,2,,,,,,,,,\nIDRiD_002,0,,,,,,,,,,\n"
    write(tmp_path / truths / "a. IDRiD_Disease Grading_Training Labels.csv", train)
    write(tmp_path / truths / "b. IDRiD_Disease Grading_Testing Labels.csv", f"{header}IDRiD_001,4,0,,,,,,,,,\n")
    points = "Image No,X- Coordinate,Y - Coordinate,,,,\nIDRiD_001,2983,1637,,,,\n,,,,note,,\n,,,,,,\n"
    write(tmp_path / CENTERS / "1. Optic Disc Center Location/a. IDRiD_OD_Center_Training Set_Markups.csv", points)
    points = points.replace("2983", "1100.5")
    write(tmp_path / CENTERS / "2. Fovea Center Location/IDRiD_Fovea_Center_Training Set_Markups.csv", points)
    for name in ("a. Training Set/IDRiD_01", "b. Testing Set/IDRiD_55"):
        picture(tmp_path / SEGMENTATION / f"1. Original Images/{name}.jpg", np.zeros((5, 6, 3), np.uint8))
    masks = tmp_path / SEGMENTATION / "2. All Segmentation Groundtruths/a. Training Set"
    # As published: red on black, some with an alpha channel.
    red = np.zeros((5, 6, 4), np.uint8)
    red[..., 3], red[1:3, 2, 0] = 255, 76
    picture(masks / "1. Microaneurysms/IDRiD_01_MA.tif", red)
    picture(masks / "5. Optic Disc/IDRiD_01_OD.tif", red[..., :3])
    return tmp_path


def test_grades_with_centers(folder: Path, read: Any) -> None:
    items, faults = read("idrid", folder)
    assert faults == [] and list(items) == ["test/IDRiD_001", "train/IDRiD_001", "train/IDRiD_002"]
    test, train, other = items.values()
    assert (test["split"], train["split"]) == ("test", ("training", "validation"))
    assert train["image"] == f"{GRADING}/1. Original Images/a. Training Set/IDRiD_001.jpg"
    assert list(train["labels"].values()) == [0, 0, 0, 1, 0] and list(train["labels"])[0] == "grade 0"
    assert train["metadata"] == {
        "macular_edema_risk": 2,
        "optic_disc_x": 2983,
        "optic_disc_y": 1637,
        "fovea_x": 1100.5,
        "fovea_y": 1637,
    }
    assert test["metadata"] == {"macular_edema_risk": 0} and "metadata" not in other


def test_the_other_grade(folder: Path, read: Any) -> None:
    items, faults = read("idrid", folder, labels="edema")
    assert items["train/IDRiD_001"]["labels"] == {"edema risk 0": 0, "edema risk 1": 0, "edema risk 2": 1}
    assert items["test/IDRiD_001"]["metadata"] == {"dr_grade": 4}
    assert [(fault.id, fault.code) for fault in faults] == [("IDRiD_002", "label_value")]


def test_masks_of_lesions(folder: Path, read: Any, tmp_path: Path) -> None:
    items, _ = read("idrid", folder, part="segmentation")
    assert {name: item["split"] for name, item in items.items()} == {
        "IDRiD_55": "test",
        "IDRiD_01": ("training", "validation"),
    }
    assert items["IDRiD_01"]["labels"] == {
        "microaneurysms": 1,
        "haemorrhages": 0,
        "hard exudates": 0,
        "soft exudates": 0,
        "optic disc": 1,
    }
    with pytest.warns(UserWarning, match="without a patient id"):
        build_datalist("idrid", folder, tmp_path / "out/o.json", part="segmentation", fractions=(1, 0, 0))
    item = next(item for item in load_datalist(tmp_path / "out/o.json", "training") if "masks" in item)
    expected = np.zeros((5, 6), bool)
    expected[1:3, 2] = True
    for name in ("microaneurysms", "optic disc"):
        assert (read_mask(item["masks"][name], (5, 6)) == expected).all()


def test_what_is_missing_is_named(folder: Path, read: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"no b. IDRiD_Disease Grading_Testing Labels.csv; get the three"):
        read("idrid", folder / "C. Localization")
    with pytest.raises(FileNotFoundError, match="no folder 2. All Segmentation Groundtruths"):
        read("idrid", folder / "C. Localization", part="segmentation")
