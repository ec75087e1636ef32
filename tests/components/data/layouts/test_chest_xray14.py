# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ChestX-ray14: headers with commas in them, official lists, boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# As published: the two bracketed names are split at their commas, and the lines of 2017 end with one more.
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
ROWS = [
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n",
    "00000002_000.png,No Finding,0,2,411Y,F,AP,2500,2048,0.171,0.171,\n",
    "00013118_008.png,Atelectasis,8,13118,069Y,M,AP,2048,2500,0.168,0.168,\n",
]
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    "00013118_008.png,Atelectasis,225.5,547,86.5,79,,,\n"
    "00013118_008.png,Infiltrate,1000,10,30,20,,,\n"
)


@pytest.fixture
def folder(tmp_path: Path, write: Any, picture: Any) -> Path:
    write(tmp_path / "Data_Entry_2017.csv", HEADER + "".join(ROWS))
    write(tmp_path / "train_val_list.txt", "00000001_000.png\n00000002_000.png\n")
    write(tmp_path / "test_list.txt", "00013118_008.png")
    write(tmp_path / "BBox_List_2017.csv", BOXES)
    picture(tmp_path / "images_001/images/00000001_000.png")
    picture(tmp_path / "images_012/images/00013118_008.png")
    return tmp_path


def test_findings_person_and_official_lists(folder: Path, read: Any) -> None:
    items, faults = read("chest-xray14", folder)
    assert faults == []
    first, healthy, boxed = items.values()
    assert first["image"] == "images_001/images/00000001_000.png"
    assert [name for name, value in first["labels"].items() if value] == ["Cardiomegaly", "Emphysema"]
    assert list(first["labels"])[:3] == ["Atelectasis", "Cardiomegaly", "Effusion"] and len(first["labels"]) == 14
    assert (first["patient"], first["sex"], first["age"], first["view"]) == ("nih-00000001", "M", 58, "PA")
    assert set(healthy["labels"].values()) == {0} and "age" not in healthy  # 411 years
    assert [item["split"] for item in items.values()] == [("training", "validation")] * 2 + ["test"]
    assert boxed["boxes"] == {"Atelectasis": [[225.5, 547, 312, 626]], "Infiltration": [[1000, 10, 1024, 30]]}
    assert "boxes" not in first


def test_newer_table_without_age_unit_and_without_boxes(folder: Path, read: Any, write: Any) -> None:
    header = HEADER.replace("Gender", "Sex").replace(",\n", "\n")
    write(folder / "Data_Entry_2017_v2020.csv", header + ROWS[0].replace("058Y", "57").replace(",\n", "\n"))
    (folder / "BBox_List_2017.csv").unlink()
    items, _ = read("chest-xray14", folder)
    assert items["00000001_000"]["age"] == 57 and items["00000001_000"]["sex"] == "M" and len(items) == 1


def test_what_is_missing_is_named_with_where_to_get_it(folder: Path, read: Any) -> None:
    (folder / "test_list.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no test_list.txt; get it .*nihcc.*official_split=false"):
        read("chest-xray14", folder)
    items, _ = read("chest-xray14", folder, official_split=False)
    assert len(items) == 3 and not any("split" in item for item in items.values())
    (folder / "Data_Entry_2017.csv").unlink()
    with pytest.raises(FileNotFoundError, match="Data_Entry_2017_v2020.csv or Data_Entry_2017.csv; get it"):
        read("chest-xray14", folder)


def test_unknown_findings_and_images_in_no_list_are_faults(folder: Path, read: Any, write: Any) -> None:
    odd = "00000003_000.png,Mass|Pneumonitis,0,3,9,F,PA,1,1,1,1,\n00000004_000.png,Mass,0,4,9,F,PA,1,1,1,1,\n"
    write(folder / "Data_Entry_2017.csv", HEADER + odd)
    items, faults = read("chest-xray14", folder)
    assert items == {} and [(fault.row, fault.code) for fault in faults] == [(2, "wrong_value"), (3, "unknown_split")]
    assert "Pneumonitis" in faults[0].message
    write(folder / "BBox_List_2017.csv", BOXES.replace("547", "x"))
    with pytest.raises(ValueError, match="row 2: the box is not four numbers"):
        read("chest-xray14", folder)
