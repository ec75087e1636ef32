# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RSNA: boxes of several rows in one item, patients of ChestX-ray14."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from radbundles.components.data import build_datalist, load_datalist

TABLE = (
    "patientId,x,y,width,height,Target\n"
    "a-1,264.0,152.0,213.0,379.0,1\n"
    "b-2,,,,,0\n"
    "a-1,562.0,152.0,256.0,453.5,1\n"
    "c-3,1,2,,4,1\n"
    "d-4,,,,,0\n"
)


def write_dicom(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.PatientID, dataset.PatientSex, dataset.ViewPosition = name, "F", "PA"
    dataset.add_new("PatientAge", "AS", "051Y")
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.zeros((2, 2), np.uint8).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    # Ages of this set have no unit, which pydicom does not write.
    path.write_bytes(path.read_bytes().replace(b"AS\x04\x00051Y", b"AS\x04\x0051  "))


@pytest.fixture
def folder(tmp_path: Path, write: Any) -> Path:
    write(tmp_path / "stage_2_train_labels.csv", TABLE)
    for name in ("a-1", "b-2", "d-4"):
        write_dicom(tmp_path / f"stage_2_train_images/{name}.dcm", name)
    return tmp_path


def test_boxes_of_an_image_are_one_item(folder: Path, read: Any) -> None:
    items, faults = read("rsna-pneumonia", folder)
    sick, healthy, _ = items.values()
    assert sick["boxes"] == {"Pneumonia": [[264, 152, 477, 531], [562, 152, 818, 605.5]]}
    assert sick["labels"] == {"Pneumonia": 1} and healthy["labels"] == {"Pneumonia": 0} and "boxes" not in healthy
    assert sick["image"] == "stage_2_train_images/a-1.dcm"
    assert (sick["sex"], sick["age"], sick["view"]) == ("F", 51, "PA")
    assert [(fault.row, fault.id, fault.code) for fault in faults] == [(5, "c-3", "wrong_value")]
    assert all("patient" not in item for item in items.values())  # patientId is of the image


def test_with_the_mapping_films_of_a_patient_stay_together(folder: Path, read: Any, write: Any, tmp_path: Path) -> None:
    films = {"a-1": "00013118_008.png", "b-2": "00013118_001.png", "d-4": "00000002_000.png"}
    mapping = [{"subset_img_id": name, "img_id": film} for name, film in films.items()]
    write(folder / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))
    write(
        folder / "stage_2_detailed_class_info.csv", "patientId,class\na-1,Lung Opacity\na-1,Lung Opacity\nb-2,Normal\n"
    )
    items, _ = read("rsna-pneumonia", folder)
    assert [item["patient"] for item in items.values()] == ["nih-00013118", "nih-00013118", "nih-00000002"]
    assert items["b-2"]["metadata"] == {"class": "Normal", "chest_xray14": "00013118_001.png"}
    for seed in range(5):
        build_datalist("rsna-pneumonia", folder, tmp_path / "o.jsonl", seed=seed)
        lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
        assert len({line["split"] for line in lines if line["patient"] == "nih-00013118"}) == 1


def test_png_copies_and_no_table(folder: Path, read: Any, picture: Any, tmp_path: Path) -> None:
    (folder / "stage_2_train_images/a-1.dcm").unlink()
    picture(folder / "png/a-1.png")
    assert read("rsna-pneumonia", folder)[0]["a-1"]["image"] == "png/a-1.png"
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("rsna-pneumonia", folder, tmp_path / "o.json", fractions=(0, 0, 1))
    assert report.items == 3 and load_datalist(tmp_path / "o.json", "test")[0]["boxes"]
    (folder / "stage_2_train_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no stage_2_train_labels.csv; get it from .*kaggle"):
        read("rsna-pneumonia", folder)
    (folder / "stage_2_train_labels.csv").write_text(TABLE)
    (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text("{}x")
    with pytest.raises(ValueError, match="is not the mapping of the RSNA"):
        read("rsna-pneumonia", folder)
