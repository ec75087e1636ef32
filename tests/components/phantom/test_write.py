# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The dataset on disk: reproducible to the byte, valid, readable."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from radbundles.components.data.check import CheckReport, check_datalist
from radbundles.components.data.datalist import iter_datalist
from radbundles.components.phantom import NAMES, write, write_phantoms
from radbundles.transforms import LoadRadiograph


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def items_of(path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    return {item["id"]: (split, item) for _, split, item in iter_datalist(path)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datalist of 40 small phantoms."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), count=40, seed=5, size=96)


def test_same_seed_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    again = write_phantoms(tmp_path, count=40, seed=5, size=96)
    assert digests(again.parent) == digests(dataset.parent)


def test_processes_share_the_work_without_a_trace(tmp_path: Path) -> None:
    alone = write_phantoms(tmp_path / "alone", count=6, seed=9, size=64)
    shared = write_phantoms(tmp_path / "shared", count=6, seed=9, size=64, workers=2)
    assert digests(shared.parent) == digests(alone.parent)


def test_item_does_not_depend_on_the_count(dataset: Path, tmp_path: Path) -> None:
    short = write_phantoms(tmp_path, count=7, seed=5, size=96)
    whole, part = digests(dataset.parent), digests(short.parent)
    for name in ("datalist.json", "findings.csv"):
        part.pop(name)
    assert part.items() <= whole.items()
    longer = items_of(dataset)
    assert all(longer[name] == entry for name, entry in items_of(short).items())


def test_table_has_the_labels_of_the_datalist(dataset: Path) -> None:
    with (dataset.parent / "findings.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    items = [item for _, item in items_of(dataset).values()]
    assert len(rows) == len(items) == 40
    for item in items:
        row = rows[item["image"]]
        assert {name: int(row[name]) for name in NAMES} == item["labels"]
        assert (row["patient"], row["sex"], float(row["age"])) == (item["patient"], item["sex"], item["age"])


def test_other_seed_gives_other_films(dataset: Path, tmp_path: Path) -> None:
    other = write_phantoms(tmp_path, count=2, seed=6, size=96)
    assert not set(digests(other.parent).values()) & set(digests(dataset.parent).values())


def test_datalist_keeps_the_contract(dataset: Path) -> None:
    report = CheckReport()
    assert list(check_datalist(dataset, images="pixels", report=report)) == []
    assert sum(report.sections.values()) == 40
    document = json.loads(dataset.read_text(encoding="utf-8"))
    assert document["label_names"] == list(NAMES)
    for section in ("training", "validation", "test"):
        for item in document[section]:
            assert item["license"] == "CC0-1.0" and item["source"] == "radbundles-phantom"
            assert set(item["labels"]) == set(NAMES)
            assert set(item["masks"]) == set(item["boxes"])
            assert {name for name, label in item["labels"].items() if label} == set(item["masks"]) & set(NAMES)
            for key, value in item["metadata"].items():
                if key.startswith("reported "):
                    sign = {"present": 1, "uncertain": -1, "absent": 0}[value]
                    assert item["labels"][key.removeprefix("reported ")] == sign


def test_masks_are_one_bit_and_fit_their_boxes(dataset: Path) -> None:
    for _, item in items_of(dataset).values():
        for name, path in item["masks"].items():
            with Image.open(dataset.parent / path) as picture:
                assert picture.mode == "1" and list(picture.size) == item["size"]
                rows, columns = np.nonzero(np.asarray(picture))
            boxes = np.asarray(item["boxes"][name])
            assert [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)] == [
                columns.min(),
                rows.min(),
                columns.max() + 1,
                rows.max() + 1,
            ]


def test_patients_stay_in_one_split_and_some_return(dataset: Path) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    studies: dict[str, list[str]] = defaultdict(list)
    sexes: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for split, item in items_of(dataset).values():
        splits[item["patient"]].add(split)
        studies[item["patient"]].append(item["study"])
        sexes[item["patient"]].add((item["sex"], item["age"]))
    assert all(len(found) == 1 for found in [*splits.values()] + [*sexes.values()])
    assert sorted(map(len, studies.values())) == [1] * 24 + [2] * 8
    assert all(len(set(found)) == len(found) for found in studies.values())


@pytest.mark.parametrize("seed", range(4))
def test_splits_have_their_shares(seed: int) -> None:
    sections = [write._section_of(patient, seed, (0.7, 0.15, 0.15)) for patient in range(100)]
    assert abs(sections.count("training") - 70) <= 3 and abs(sections.count("validation") - 15) <= 3
    # even a handful of patients fills every split
    assert set(sections[:16]) == {"training", "validation", "test"}


def test_dicom_shows_the_same_film_as_png(tmp_path: Path) -> None:
    count, load = 9, LoadRadiograph()
    films = {
        form: list(items_of(write_phantoms(tmp_path / form, count=count, seed=2, size=128, formats=[form])).values())
        for form in ("png", "dicom")
    }
    photometric = set()
    for (_, png), (_, dicom) in zip(films["png"], films["dicom"], strict=True):
        assert {**png, "image": ""} == {**dicom, "image": ""}
        stored = pydicom.dcmread(tmp_path / "dicom" / dicom["image"])
        photometric.add(stored.PhotometricInterpretation)
        shown = np.asarray(load(str(tmp_path / "dicom" / dicom["image"])))[0]
        picture = np.asarray(load(str(tmp_path / "png" / png["image"])))[0]
        assert np.abs(shown - picture).max() <= 0.5 / 255 + 0.5 / 2400 + 1e-6
        assert picture.std() > 0.1
    assert photometric == {"MONOCHROME1", "MONOCHROME2"}


def test_dicom_is_a_radiograph_without_a_patient(dataset: Path) -> None:
    uids, studies = set(), defaultdict(set)
    for _, item in items_of(dataset).values():
        if not item["image"].endswith(".dcm"):
            continue
        data = pydicom.dcmread(dataset.parent / item["image"])
        assert data.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
        assert (data.Modality, data.BitsAllocated, data.BitsStored) == ("DX", 16, 12)
        assert data.pixel_array.max() <= 4095
        # the standard's -1: higher stored values mean fewer X-rays, as where bone is bright
        assert data.PixelIntensityRelationshipSign == (-1 if data.PhotometricInterpretation == "MONOCHROME2" else 1)
        assert data.ViewPosition == item["view"] and data.PatientSex == item["sex"]
        assert data.PatientIdentityRemoved == "YES" and data.PatientID == item["patient"]
        assert data.StudyDate == "" and data.PatientBirthDate == ""
        assert 0.5 < float(data.ImagerPixelSpacing[0]) * 96 / 100 < 5
        uids.add(data.SOPInstanceUID)
        studies[data.StudyInstanceUID].add(item["study"])
    assert len(uids) == 20
    assert all(len(found) == 1 for found in studies.values())


def test_interrupted_run_leaves_no_datalist(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantoms(tmp_path, count=2, seed=1, size=64)

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(write, "save_dicom", fail)
    with pytest.raises(OSError, match="disk full"):
        write_phantoms(tmp_path, count=4, seed=1, size=64)
    assert not list(tmp_path.glob("*.json*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"seed": -1}, "seed=-1"),
        ({"size": 16}, "size=16"),
        ({"formats": ["jpeg"]}, "jpeg"),
        ({"formats": []}, "formats"),
        ({"splits": (0, 0, 0)}, "splits"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_phantoms(tmp_path / "out", **{"count": 1, "seed": 0, "size": 64, **arguments})
    assert not (tmp_path / "out").exists()


def test_writing_is_fast_enough_to_be_a_default(tmp_path: Path) -> None:
    begin = time.process_time()
    write_phantoms(tmp_path, count=5, seed=0)
    assert time.process_time() - begin < 5  # many times what an idle core needs


def test_module_runs_from_the_shell(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "radbundles.components.phantom",
        "--out",
        str(tmp_path),
        "--count",
        "1",
        "--size",
        "64",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Path(finished.stdout.strip()) == tmp_path / "datalist.json"
    assert finished.stdout.strip().endswith("datalist.json")
