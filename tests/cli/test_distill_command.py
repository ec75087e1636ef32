# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbundles.cli import distill_command
from radbundles.cli.app import app

assert distill_command  # importing it adds the command
runner = CliRunner()


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    path = tmp_path / "list.jsonl"
    rows = [
        {"id": "a", "split": "training", "image": "a.png", "report": {"text": "Drusen. No effusion."}},
        {"id": "b", "split": "training", "image": "b.png"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_summary_as_json_is_all_of_stdout(datalist: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["distill", str(datalist), "--out", str(tmp_path / "out.jsonl"), "--json"])
    summary = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (summary["reports"], summary["without_report"], summary["certainty"]["absent"]) == (1, 1, 1)


def test_entity_list_is_chosen(datalist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = runner.invoke(app, ["distill", str(datalist), "--out", str(out), "--entities", "fundus"])
    assert result.exit_code == 0
    assert json.loads(out.read_text().splitlines()[0])["text"] == "There is drusen."
    assert "1 reports" in result.stdout


def test_failed_rows_give_exit_code_1_and_a_list(datalist: Path, tmp_path: Path) -> None:
    datalist.write_text(datalist.read_text() + "{broken\n")
    out = tmp_path / "out.jsonl"
    result = runner.invoke(app, ["distill", str(datalist), "--out", str(out)])
    assert result.exit_code == 1
    assert "failed: 1" in result.stderr
    assert json.loads((tmp_path / "out.jsonl.failures.jsonl").read_text())["row"] == 3


@pytest.mark.parametrize("options", [["--entities", "knee"], []])
def test_unusable_input_gives_exit_code_2(datalist: Path, tmp_path: Path, options: list[str]) -> None:
    source = datalist if options else tmp_path / "none.jsonl"
    result = runner.invoke(app, ["distill", str(source), "--out", str(tmp_path / "out.jsonl"), *options])
    assert result.exit_code == 2
    assert not (tmp_path / "out.jsonl").exists()
