# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbundles.cli import COMMANDS, sentences_command
from radbundles.cli.app import app

assert sentences_command  # importing it adds the command
runner = CliRunner()


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    path = tmp_path / "list.jsonl"
    rows = [
        {"id": "a", "split": "training", "image": "a.png", "report": {"text": "No effusion. As before."}},
        {"id": "b", "split": "training", "image": "b.png", "labels": {"Edema": 1, "knee": 1}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_command_is_one_of_the_program() -> None:
    assert "sentences" in COMMANDS


def test_summary_as_json_is_all_of_stdout(datalist: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["sentences", str(datalist), "--out", str(tmp_path / "out.jsonl"), "--json"])
    summary = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (summary["reports"], summary["templates"], summary["sentences"]) == (1, 1, 2)


def test_summary_names_labels_that_the_table_does_not_know(datalist: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["sentences", str(datalist), "--out", str(tmp_path / "out.jsonl")])
    assert "labels that findings does not know: knee" in result.stdout


def test_options_reach_the_job(datalist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    options = ["--table", "chexpert", "--minimum-tokens", "3", "--drop-short", "--complete"]
    datalist.write_text(datalist.read_text().replace("No effusion. As before.", "No effusion. No left effusion"))
    assert runner.invoke(app, ["sentences", str(datalist), "--out", str(out), *options]).exit_code == 0
    record = json.loads(out.read_text().splitlines()[0])
    assert [entry["text"] for entry in record["sentences"]] == ["no left effusion"]
    assert record["labels"] == {"Pleural Effusion": 0, "No Finding": 1}


def test_chexbert_table_is_used(datalist: Path, tmp_path: Path) -> None:
    (tmp_path / "labeled.csv").write_text("Report Impression,Edema\nno effusion,1\n")
    out = tmp_path / "out.jsonl"
    options = ["--table", "chexpert", "--chexbert", str(tmp_path / "labeled.csv"), "--minimum-tokens", "2"]
    result = runner.invoke(app, ["sentences", str(datalist), "--out", str(out), *options])
    assert result.exit_code == 0
    assert "left out: 1" in result.stdout
    assert json.loads(out.read_text().splitlines()[0])["labels"] == {"Edema": 1}


def test_failed_rows_give_exit_code_1_and_a_list(datalist: Path, tmp_path: Path) -> None:
    datalist.write_text(datalist.read_text() + "{broken\n")
    result = runner.invoke(app, ["sentences", str(datalist), "--out", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 1
    assert "failed: 1" in result.stderr
    assert json.loads((tmp_path / "out.jsonl.failures.jsonl").read_text())["row"] == 3


@pytest.mark.parametrize("options", [["--table", "knee"], ["--chexbert", "none.csv"], []])
def test_unusable_input_gives_exit_code_2(datalist: Path, tmp_path: Path, options: list[str]) -> None:
    source = datalist if options else tmp_path / "none.jsonl"
    result = runner.invoke(app, ["sentences", str(source), "--out", str(tmp_path / "out.jsonl"), *options])
    assert result.exit_code == 2
    assert not (tmp_path / "out.jsonl").exists()
