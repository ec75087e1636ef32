# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles data`` tells what it did, and ends with 0, 1 or 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import radbundles.cli.data_command
from radbundles.cli.app import app
from radbundles.components.data.layouts import LAYOUTS

assert radbundles.cli.data_command  # adds the commands to the application


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for i in range(12):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i}.png")
    path = tmp_path / "t.csv"
    path.write_text("file;pid;edema\n" + "".join(f"{i}.png;{i};{i % 2}\n" for i in range(12)))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_build_then_check(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "list.json"
    result = run(
        "build", "csv", table, "--out", out, "--map", "image=file", "--map", "patient=pid", "--labels", "edema"
    )
    assert result.exit_code == 0, result.output
    assert "12 items" in result.output and "patients" in result.output
    result = run("check", out)
    assert result.exit_code == 0 and "No faults" in result.output


def test_categories_and_copies_from_the_command_line(table: Path, tmp_path: Path) -> None:
    (tmp_path / "11.png").write_bytes((tmp_path / "10.png").read_bytes())
    out = tmp_path / "list.json"
    fields = ["--map", "image=file", "--map", "category=edema", "--map", "patient=pid"]
    result = run("build", "csv", table, "--out", out, *fields, "--classes", "1, 0", "--drop-duplicates")
    assert result.exit_code == 0, result.output
    assert "11 items" in result.output and "1 duplicate_image" in result.output
    assert json.loads(out.read_text())["label_names"] == ["1", "0"]
    result = run("build", "csv", table, "--out", out, "--map", "image=file", "--classes", "a,b")
    assert result.exit_code == 2 and "need a column for 'category'" in result.output


def test_mapping_from_a_file_and_splitting_without_patients_warns(table: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "map.json"
    mapping.write_text('{"image": "file", "label.Edema": "edema"}')
    result = run(
        "build", "csv", table, "--out", tmp_path / "a.jsonl", "--map", mapping, "--fractions", "0.5, 0.25, 0.25"
    )
    assert result.exit_code == 0
    assert "Warning: items without a patient id are split by id" in result.stderr
    assert '"labels": {"Edema": 0}' in (tmp_path / "a.jsonl").read_text()


def test_check_shows_and_counts_faults(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(f'{{"id": "{i}", "image": "no.png", "split": "test"}}\n' for i in range(5)))
    result = run("check", path, "--limit", 2)
    assert result.exit_code == 1
    assert result.output.count("[missing_image]") == 2
    assert "and 3 more; --limit 0" in result.output and "5 faults: 5 missing_image" in result.output
    result = run("check", path, "--json", "--limit", 0)
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["total"], document["counts"], document["items"]) == (5, {"missing_image": 5}, {"test": 5})
    assert [fault["row"] for fault in document["faults"]] == [1, 2, 3, 4, 5]


def test_nothing_left_is_exit_code_1(table: Path, tmp_path: Path) -> None:
    result = run("build", "csv", table, "--out", tmp_path / "a.json", "--map", "image=pid")
    assert result.exit_code == 1
    assert "Nothing came out" in result.stderr and "12 missing_image" in result.stderr


def test_options_of_a_layout(tmp_path: Path) -> None:
    rows = "Path,Edema\ntrain/patient1/study1/view1_frontal.jpg,\n"
    for name in ("train", "valid"):
        (tmp_path / f"{name}.csv").write_text(rows.replace("train", name))
        image = tmp_path / f"{name}/patient1/study1/view1_frontal.jpg"
        image.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    options = ["--option", "blank=absent", "--option", "views=frontal", "--fractions", "1,0,0"]
    result = run("build", "chexpert", tmp_path, "--out", tmp_path / "a.jsonl", *options)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.jsonl").read_text().count('"labels": {"Edema": 0}') == 2


def test_help_names_every_layout_and_layouts_tells_their_options() -> None:
    told, listed = run("build", "--help").output, run("layouts").output
    for name in LAYOUTS:
        assert name in told and f"\n{name} " in f"\n{listed}"
    assert "--option blank=unknown|absent" in listed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "csv", "{folder}/t.csv", "--map", "image=datei"], "no column 'datei'; it has file, pid, edema"),
        (["build", "csv", "{folder}/no.csv"], "no.csv does not exist"),
        (["build", "csv", "{folder}/t.csv", "--map", "image"], "FIELD=COLUMN"),
        (["build", "csv", "{folder}/t.csv", "--map", "image=file", "--fractions", "a,b"], "--fractions must be"),
        (["build", "csv", "{folder}/t.csv", "--map", "image=file", "--delimiter", "::"], "one character"),
        (["build", "open-i", "{folder}"], "no folder ecgen-radiology"),
        (["build", "open-i", "{folder}", "--labels", "a"], "for layout csv"),
        (["build", "open-i", "{folder}", "--reports", "a"], "--reports is for mimic-cxr"),
        (["build", "padchest", "{folder}"], "layout must be one of"),
        (["build", "chexpert", "{folder}", "--option", "blanks=absent"], "no option 'blanks'; is it 'blank'?"),
        (["build", "csv", "{folder}/t.csv", "--option", "a=b"], "--option is for collections"),
        (["check", "{folder}/no.json"], "no.json does not exist"),
        (["check", "{folder}/t.csv", "--images", "all"], "images must be none, header or pixels"),
    ],
)
def test_wrong_use_is_exit_code_2_and_one_line(table: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    arguments = [part.format(folder=tmp_path) for part in arguments]
    if arguments[0] == "build":
        arguments += ["--out", str(tmp_path / "a.json")]
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr and result.stderr.count("\n") == 1 and result.stdout == ""
