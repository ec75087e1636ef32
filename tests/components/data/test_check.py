# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Every fault is found once, with its row and field, and nothing else is."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset

from radbundles.components.data import FAULTS, CheckReport, Fault, build_datalist, check_datalist
from radbundles.components.data.image_header import read_header

GOOD: dict[str, Any] = {
    "id": "a",
    "image": "a.png",
    "patient": "p-4711-x",
    "split": "training",
    "report": {"findings": "Clear."},
    "labels": {"Edema": 1},
    "masks": {"lungs": "m.png"},
    "boxes": {"nodule": [[0, 0, 40, 30]]},
    "size": [40, 30],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((30, 40), 9, np.uint8)).save(tmp_path / "b.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "m.png")
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(tmp_path / "m_small.png")
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "m_color.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "m.jpg")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    (tmp_path / "text.png").write_text("hello")
    return tmp_path


def write(folder: Path, rows: Iterable[Any]) -> Path:
    path = folder / "list.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def found(path: Path, **options: Any) -> list[tuple[int | None, str | None, str]]:
    return [(fault.row, fault.field, fault.code) for fault in check_datalist(path, **options)]


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "wrong_type": ({"age": "4"}, "age"),
    "wrong_value": ({"sex": "female"}, "sex"),
    "missing_field": ({"split": None}, "split"),
    "unknown_field": ({"lables": {}}, "lables"),
    "unknown_split": ({"split": "train"}, "split"),
    "duplicate_id": ({"id": "a"}, "id"),
    "patient_in_two_splits": ({"split": "test", "patient": "p-4711-x"}, "patient"),
    "missing_image": ({"image": "no.png"}, "image"),
    "unreadable_image": ({"image": "broken.png"}, "image"),
    "duplicate_image": ({"image": "a.png"}, "image"),
    "wrong_size": ({"size": [30, 40]}, "size"),
    "missing_mask": ({"masks": {"lungs": "no.png"}}, "masks.lungs"),
    "unreadable_mask": ({"masks": {"lungs": "m.jpg"}}, "masks.lungs"),
    "mask_size": ({"masks": {"lungs": "m_small.png"}}, "masks.lungs"),
    "mask_channels": ({"masks": {"lungs": "m_color.png"}}, "masks.lungs"),
    "box_inverted": ({"boxes": {"nodule": [[0, 0, 4, 4], [9, 9, 5, 12]]}}, "boxes.nodule[1]"),
    "box_outside": ({"phrases": [{"text": "x", "boxes": [[0, 0, 41, 4]]}]}, "phrases[0].boxes[0]"),
    "unknown_label": ({"labels": {"Oedema": 1}}, "labels.Oedema"),
    "label_value": ({"labels": {"Edema": "yes"}}, "labels.Edema"),
    "empty_report": ({"report": {"findings": "x", "impression": " "}}, "report.impression"),
}


@pytest.mark.parametrize("code", CASES)
def test_each_fault_is_found_alone_and_told_well(folder: Path, code: str) -> None:
    change, field = CASES[code]
    other = {**GOOD, "id": "b", "patient": "p-4712-x", "image": "b.png", **change}
    if other["split"] is None:
        del other["split"]
    path = write(folder, [GOOD, other])
    faults = list(check_datalist(path, label_names=["Edema"], duplicate_images=True))
    assert [(fault.row, fault.field, fault.code) for fault in faults] == [(2, field, code)]
    told = str(faults[0])
    assert "4711" not in told and "4712" not in told and "Clear" not in told
    assert faults[0].fix and faults[0].id == other["id"]


def test_every_code_is_provoked() -> None:
    assert set(CASES) | {"invalid_json", "empty_datalist"} == set(FAULTS)


def test_every_code_is_documented(repository: Path) -> None:
    page = (repository / "docs/data.md").read_text(encoding="utf-8")
    assert all(f"| `{code}` | {meaning} |" in page for code, meaning in FAULTS.items())


def test_good_lists_have_no_fault(folder: Path) -> None:
    report = CheckReport()
    assert list(check_datalist(write(folder, [GOOD]), images="pixels", duplicate_images=True, report=report)) == []
    assert report.sections == {"training": 1}


def test_lines_that_are_no_items(folder: Path) -> None:
    path = write(folder, [GOOD, "{broken", "[1]", '{"training": []}', {**GOOD, "id": "b", "age": float("nan")}])
    faults = list(check_datalist(path))
    assert [(fault.row, fault.code) for fault in faults] == [
        (2, "invalid_json"),
        (3, "wrong_type"),
        (4, "invalid_json"),
        (5, "invalid_json"),
    ]
    assert "character 2" in faults[0].message and ".json" in faults[2].fix and "NaN" in faults[3].message


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", "", "no item"),
        ("a.jsonl", "\n \n", "no item"),
        ("a.json", '{"training": []}', "no item"),
        ("a.json", "", "is empty"),
        ("a.json", "{", "is not JSON"),
        ("a.json", '{"id": "a"}\n{"id": "b"}\n', "name it .jsonl"),
        ("a.jsonl", '{\n "training": []\n}\n', "one JSON document"),
    ],
)
def test_files_without_items(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    (fault,) = check_datalist(path)
    assert told in str(fault) and fault.row is None
    assert fault.code in ("empty_datalist", "invalid_json")


def test_json_documents_are_checked_with_their_label_names(folder: Path) -> None:
    item = {key: value for key, value in GOOD.items() if key != "split"}
    document = {
        "label_names": ["Mass"],
        "test": [{**item, "id": "t"}],
        "training": [item, {**item, "split": "training", "id": "c"}],
        "extra": 1,
    }
    path = folder / "list.json"
    path.write_text(json.dumps(document))
    assert set(found(path)) == {
        (None, "extra", "unknown_field"),
        (1, "labels.Edema", "unknown_label"),
        (2, "split", "unknown_field"),
        (3, "labels.Edema", "unknown_label"),
        (3, "patient", "patient_in_two_splits"),
    }
    assert (1, "labels.Edema", "unknown_label") not in found(path, label_names=["Edema"])


def test_headers_miss_what_pixels_find(folder: Path) -> None:
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[:-30])
    path = write(folder, [{**GOOD, "image": "cut.png"}, {**GOOD, "id": "m", "masks": {"lungs": "cut.png"}}])
    assert found(path) == []
    assert found(path, images="none") == []
    assert found(path, images="pixels") == [
        (1, "image", "unreadable_image"),
        (2, "masks.lungs", "unreadable_mask"),
    ]


def test_without_files_boxes_are_held_against_the_stated_size(folder: Path) -> None:
    path = write(folder, [{**GOOD, "image": "no.png", "boxes": {"a": [[0, 0, 41, 3]], "b": [[-1, 0, 3, 3]]}}])
    assert found(path, images="none") == [(1, "boxes.a[0]", "box_outside"), (1, "boxes.b[0]", "box_outside")]


def test_paths_are_shown_without_the_patient(folder: Path) -> None:
    (folder / "p4711").mkdir()
    (folder / "p4711/x.png").write_text("no image")
    rows = [
        {**GOOD, "patient": "4711", "image": "p4711/y.png"},
        {**GOOD, "id": "b", "patient": "4711", "image": "p4711/x.png"},
    ]
    told = [str(fault) for fault in check_datalist(write(folder, rows))]
    assert len(told) == 2 and all("4711" not in text and "<patient>" in text for text in told)


def test_hashes_that_collide_raise_no_alarm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radbundles.components.data.check.hash64", lambda text: 1)
    rows = [{**GOOD, "id": f"i{i}", "patient": f"p{i}", "split": ["training", "test"][i % 2]} for i in range(6)]
    path = write(folder, rows)
    assert found(path) == []
    path = write(folder, [*rows, {**rows[0], "split": "test"}])
    assert found(path) == [(7, "id", "duplicate_id"), (7, "patient", "patient_in_two_splits")]


def test_order_is_that_of_the_rows_through_all_threads(folder: Path) -> None:
    rows = [{**GOOD, "id": f"i{i}", "image": "no.png"} for i in range(3000)]
    assert [row for row, _, _ in found(write(folder, rows))] == list(range(1, 3001))


def test_memory_is_bounded(tmp_path: Path) -> None:
    text = "The lungs are clear. " * 30  # 15 MB in all
    # A first check pays for imports and the schema, which are not what is measured.
    assert found(write(tmp_path, [{**GOOD, "sex": "x"}]), images="none")
    path = write(
        tmp_path,
        ({**GOOD, "id": f"i{i}", "patient": f"p{i // 3}", "report": {"text": text}} for i in range(20_000)),
    )
    assert path.stat().st_size > 15e6
    tracemalloc.start()
    assert list(check_datalist(path, images="none")) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 17 bytes a row, doubled while the arrays grow and are sorted, and the buffers of one line.
    assert peak < 2.5e6


def test_headers_of_every_format(tmp_path: Path) -> None:
    pixels = np.zeros((30, 40), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    assert read_header(tmp_path / "turned.jpg").size == (30, 40)
    Image.fromarray(pixels).save(tmp_path / "no_suffix", format="PNG")
    assert read_header(tmp_path / "no_suffix").size == (40, 30)

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.save_as(tmp_path / "empty.dcm", enforce_file_format=True)
    with pytest.raises(ValueError, match="without an image"):
        read_header(tmp_path / "empty.dcm")
    dataset.Rows, dataset.Columns = 30, 40
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    header = read_header(tmp_path / "x.dcm")
    assert (header.size, header.channels, header.format) == ((40, 30), 1, "DICOM")
    dataset.NumberOfFrames = 3
    dataset.save_as(tmp_path / "x3.dcm", enforce_file_format=True)
    with pytest.raises(ValueError, match="3 frames"):
        read_header(tmp_path / "x3.dcm")

    import nibabel

    nibabel.Nifti1Image(pixels.T[..., None], np.eye(4)).to_filename(tmp_path / "x.nii.gz")
    assert read_header(tmp_path / "x.nii.gz").size == (40, 30)


def test_real_collection_builds_and_checks_clean(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    report = build_datalist("open-collection", shared_data, out)
    with open(shared_data / "manifest.jsonl", encoding="utf-8") as manifest:
        assert report.items == sum(1 for _ in manifest)
    assert list(check_datalist(out)) == []
    # One patient, two collections: 41 patients of the grading set are in the segmentation set as well.
    document = json.loads(out.read_text(encoding="utf-8"))
    sides = [{item["patient"] for item in document[split]} for split in ("training", "validation", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_real_dicom_headers_agree_with_their_index(shared_data: Path) -> None:
    entries = json.loads((shared_data / "dicom/index.json").read_text())
    assert len(entries) > 5
    for entry in entries:
        assert read_header(shared_data / entry["file"]).size == (entry["columns"], entry["rows"]), entry["file"]


def test_a_datalist_can_move_with_its_images(folder: Path, tmp_path: Path) -> None:
    path = write(folder, [GOOD])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(str(path), moved / "list.jsonl")
    faults: list[Fault] = list(check_datalist(moved / "list.jsonl"))
    assert {fault.code for fault in faults} == {"missing_image", "missing_mask"}
    assert found(moved / "list.jsonl", dataset_dir=folder) == []
