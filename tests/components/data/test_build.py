# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A build takes what is good, records what is not, and gives the same list every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data import build_datalist, load_datalist
from radbundles.components.data.layouts import LAYOUTS, Layout


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    lines = ["image,patient,source,report,label.Edema,mask.lungs,box.mass"]
    for i in range(60):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"in/{i}.png")
        text, label = ("Clear." if i % 2 else ""), ("1", "0", "")[i % 3]
        mask, box = (f"{i}.png" if i % 4 == 0 else ""), ('"1,1,5,5"' if i % 5 == 0 else "")
        lines.append(f"{i}.png,p{i // 2},{'ab'[i % 2]},{text},{label},{mask},{box}")
    (tmp_path / "in/export.csv").write_text("\n".join(lines))
    return tmp_path / "in/export.csv"


def test_paths_lead_from_the_datalist_to_the_images(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/deep/list.json"
    report = build_datalist("csv", export, out)
    assert report.items == 60 and not report.faults_path.exists()
    items = [item for split in ("training", "validation", "test") for item in load_datalist(out, split)]
    assert all(Path(item["image"]).is_file() for item in items)
    assert all(Path(mask).is_file() for item in items for mask in item.get("masks", {}).values())
    build_datalist("csv", export, out, dataset_dir=tmp_path)
    assert load_datalist(out, "training", base_dir="")[0]["image"].startswith("in/")


def test_counts_add_up(export: Path, tmp_path: Path) -> None:
    report = build_datalist("csv", export, tmp_path / "a.json")
    total = {name: sum(counts[name] for counts in report.sections.values()) for name in report.sections["training"]}
    assert total == {"items": 60, "patients": 30, "text": 30, "labels": 40, "masks": 15, "boxes": 12}
    assert json.loads((tmp_path / "a.json").read_text())["label_names"] == ["Edema"]


def test_a_build_can_be_repeated_and_follows_the_seed(export: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build_datalist("csv", export, tmp_path / f"{name}.jsonl", seed=seed)
    one, two, three = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert one == two != three


def test_filters(export: Path, tmp_path: Path) -> None:
    report = build_datalist("csv", export, tmp_path / "a.json", only=["masks", "boxes"], sources=["a"])
    assert (report.items, report.filtered) == (3, 57)
    with pytest.raises(ValueError, match="only must be of text, masks, boxes, labels, not 'mask'"):
        build_datalist("csv", export, tmp_path / "a.json", only=["mask"])


def test_faulty_rows_are_left_out_and_recorded(export: Path, tmp_path: Path) -> None:
    rows = export.read_text().splitlines()
    rows[1:1] = ["no.png,p7,a,,,,", "2.png,p9,a,,maybe,,", "3.png,p1,b,,,no.png,", "4.png,p2,a,,,,", "4.png,p2,a,,,,"]
    export.write_text("\n".join(rows))
    report = build_datalist("csv", export, tmp_path / "a.jsonl")
    assert report.items == 60
    faults = [json.loads(line) for line in report.faults_path.read_text().splitlines()]
    assert [(fault["row"], fault["code"]) for fault in faults] == [
        (2, "missing_image"),
        (3, "label_value"),
        (4, "missing_mask"),
        (6, "duplicate_id"),
        (11, "duplicate_id"),
    ]
    assert "p7" not in report.faults_path.read_text()
    export.write_text(rows[0] + "\n" + rows[8])
    build_datalist("csv", export, tmp_path / "a.jsonl")
    assert not report.faults_path.exists()


def test_nothing_is_written_when_nothing_came_out(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    report = build_datalist("csv", export, out, sources=["c"])
    assert report.items == 0 and not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_split_of_its_own_is_kept_unless_fractions_are_given(export: Path, tmp_path: Path) -> None:
    export.write_text(
        "image,patient,split\n0.png,p,val\n1.png,p,val\n2.png,q,train\n3.png,q,test\n4.png,r,odd\n5.png,s,\n"
    )
    report = build_datalist("csv", export, tmp_path / "a.json")
    assert report.sections["validation"]["items"] == 2
    assert dict(report.faults) == {"patient_in_two_splits": 1, "unknown_split": 1}
    report = build_datalist("csv", export, tmp_path / "a.json", fractions=(0, 0, 1))
    assert report.sections["test"]["items"] == report.items == 6 and not report.faults


def test_a_split_may_be_left_open_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(200):
            own = "test" if number < 20 else ("training", "validation")
            yield number + 1, {"id": str(number), "image": "a.png", "patient": f"p{number // 2}", "split": own}

    monkeypatch.setitem(LAYOUTS, "mine", Layout("mine", read))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    report = build_datalist("mine", tmp_path, tmp_path / "a.json")
    assert report.sections["test"]["patients"] == 10 and not report.faults
    assert 0 < report.sections["validation"]["patients"] < 25
    assert report.sections["validation"]["items"] == 2 * report.sections["validation"]["patients"]
    report = build_datalist("mine", tmp_path, tmp_path / "a.json", fractions=(0, 0, 1))
    assert report.sections["test"]["patients"] == 100


def test_wrong_calls_are_refused(export: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layout must be one of .*csv, .*mimic-cxr"):
        build_datalist("mimic", export, tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build_datalist("csv", tmp_path / "no.csv", tmp_path / "a.json")
    with pytest.raises(ValueError, match="is a file; layout 'open-i' reads a folder"):
        build_datalist("open-i", export, tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"ends with .json or .jsonl"):
        build_datalist("csv", export, tmp_path / "a.txt")


def test_copies_of_an_image_can_be_left_out(tmp_path: Path) -> None:
    """The first of identical files stays; the fault names it and tells when the labels contradict each other."""
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"one"), ("e", b"longer")):
        (tmp_path / f"{name}.png").write_bytes(content)
    table = tmp_path / "t.csv"
    table.write_text("image,patient,label.x\na.png,1,1\nb.png,2,0\nc.png,3,1\nd.png,4,0\ne.png,5,1\n")
    assert build_datalist("csv", table, tmp_path / "all.json").items == 5
    report = build_datalist("csv", table, tmp_path / "some.json", drop_duplicates=True)
    assert report.items == 3 and report.faults == {"duplicate_image": 2}
    faults = [json.loads(line) for line in report.faults_path.read_text().splitlines()]
    assert [(fault["row"], fault["id"]) for fault in faults] == [(4, "c"), (5, "d")]
    assert faults[0]["message"] == "the file has the same content as that of id 'a'"
    assert faults[1]["message"] == "the file has the same content as that of id 'a', but the row has other labels"


def test_label_names_follow_the_order_of_the_classes(tmp_path: Path) -> None:
    """Not that of the rows."""
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "t.csv").write_text("image,patient,category\na.png,1,late\n")
    build_datalist("csv", tmp_path / "t.csv", tmp_path / "a.json", classes=["early", "late"])
    assert json.loads((tmp_path / "a.json").read_text())["label_names"] == ["early", "late"]
