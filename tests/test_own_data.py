# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial on one's own data, run block by block as a new user would, on an export with the usual faults."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from radbundles.components.data import iter_datalist
from radbundles.components.phantom import write_phantoms

HEAD = ["File Name", "Patient ID", "Sex", "Age", "Hospital", "Pleural effusion", "Cardiomegaly"]
WORDS = {1: ("yes", "present", "1"), 0: ("no", "absent", "0"), -1: ("", "unknown", "")}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``export/`` lies as a hospital's archive might have left it."""
    folder = tmp_path_factory.mktemp("a new user")
    made = write_phantoms(tmp_path_factory.mktemp("made"), count=60, seed=11, size=96)
    images = folder / "export" / "images"
    images.mkdir(parents=True)
    rows = []
    for place, (_, _, item) in enumerate(iter_datalist(made)):
        source = made.parent / item["image"]
        name = f"film {place:03d}{source.suffix}"
        shutil.copyfile(source, images / name)
        words = [WORDS[item["labels"][label]][place % 3] for label in ("effusion", "cardiomegaly")]
        age = f"{item['age']:03.0f}Y" if place % 2 else f" {item['age']:.0f}"
        hospital = ("North", "South")[place % 2]
        rows.append([f"images\\{name}", item["patient"].replace("phantom", "P"), item["sex"], age, hospital, *words])
    rows[7][0] = "images\\film 999.png"  # missing
    shutil.copyfile(images / "film 008.png", images / "film 008 (1).png")  # exported twice
    rows.append(["images\\film 008 (1).png", *rows[8][1:]])
    rows[12][5] = "s. report"  # a label that nobody understands
    with (folder / "export" / "findings.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])
    return folder


@pytest.fixture(scope="module")
def followed(export: Path, repository: Path) -> dict[str, str]:
    """What each command of the tutorial says, in the order of the page; all of them succeed."""
    page = (repository / "docs" / "own_data.md").read_text(encoding="utf-8")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    said = {}
    for block in re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        done = subprocess.run(
            ["bash", "-e", "-c", block], cwd=export, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        said[block] = done.stdout + done.stderr
    return said


def test_page_shows_the_table_as_it_is(followed: dict[str, str], repository: Path) -> None:
    page = (repository / "docs" / "own_data.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert shown is not None and shown[1].splitlines()[0] == ",".join(HEAD)
    assert next(iter(followed.values())).lstrip("\ufeff").splitlines()[0] == ",".join(HEAD)


def test_faulty_rows_are_recorded_and_the_rest_is_kept(followed: dict[str, str], export: Path) -> None:
    lines = (export / "data" / "datalist.json.faults.jsonl").read_text(encoding="utf-8").splitlines()
    faults = {fault["row"]: fault["code"] for fault in map(json.loads, lines)}
    assert faults == {9: "missing_image", 62: "duplicate_image", 14: "label_value"}
    kept = [(split, item) for _, split, item in iter_datalist(export / "data" / "datalist.json")]
    assert len(kept) == 58 and {item["source"] for _, item in kept} == {"North", "South"}
    splits: dict[str, set[str]] = {}
    for split, item in kept:
        splits.setdefault(item["patient"], set()).add(split)
    assert all(len(found) == 1 for found in splits.values()) and len(Counter(split for split, _ in kept)) == 3
    said = "".join(list(followed.values())[1:])  # the first shows the table
    assert not any(item["patient"] in said for _, item in kept)


def test_report_has_intervals_subgroups_and_no_patient(followed: dict[str, str], export: Path) -> None:
    folder = export / "runs" / "mine" / "evaluation"
    result = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert set(result["classes"]) == {"effusion", "cardiomegaly"}
    assert {"sex", "source", "age"} <= set(result["subgroups"])
    assert result["operating_points"]["section"] == "validation"
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("report.html", "run.json", "predictions.csv")]
    patients = [item["patient"] for _, _, item in iter_datalist(export / "data" / "datalist.json")]
    assert not any(patient in text for text in texts for patient in patients)


def test_trained_bundle_answers_on_its_own(followed: dict[str, str], export: Path) -> None:
    with (export / "found" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 61
    assert {"probability effusion", "present effusion", "probability cardiomegaly"} <= set(rows[0])
    assert all(0 <= float(row["probability effusion"]) <= 1 for row in rows)
