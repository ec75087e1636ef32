# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the text path, on few reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.benchmarks.text_path import main, measure, read_reports
from radbundles.components.data.tokenizer_training import train_tokenizer

STAGES = ["compose", "insert", "tokenize", "mask", "collate", "whole"]
ROWS: list[dict[str, Any]] = [
    {"uid": "a", "findings": "Lungs are clear.", "impression": None},
    {"uid": "b", "findings": None, "impression": " "},
    {"uid": "c", "findings": "Small effusion.", "impression": "Effusion."},
]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Rows of sections, one of them without text."""
    path = tmp_path / "reports.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    """A tokenizer of these reports."""
    path = tmp_path / "tokenizer.json"
    train_tokenizer(["There is no effusion. Lungs are clear."], out=path)
    return path


def test_speed_of_every_stage_is_measured_in_both_modes(reports: Path, tokenizer_file: Path) -> None:
    figures = measure(reports, tokenizer_file=tokenizer_file, repeats=2)
    assert figures["reports"] == 2
    assert figures["tokens_per_report"] > 5
    for mode in ("paper", "official"):
        assert list(figures[mode]) == STAGES
        assert all(speed > 0 for speed in figures[mode].values())


def test_reports_of_a_datalist_are_read(tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"test": [{"id": "a", "image": "a.png", "report": {"impression": "Clear."}}]}))
    assert list(read_reports(path)) == [{"text": "Clear."}]


def test_rows_of_a_datalist_and_of_sections_are_read(tmp_path: Path, reports: Path) -> None:
    assert list(read_reports(reports)) == [
        {"findings": "Lungs are clear."},
        {key: ROWS[2][key] for key in ROWS[2] if key != "uid"},
    ]
    path = tmp_path / "datalist.jsonl"
    path.write_text(json.dumps({"id": "a", "split": "test", "image": "a.png", "report": {"text": "Clear."}}))
    assert list(read_reports(path)) == [{"text": "Clear."}]


def test_module_prints_json(
    reports: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["text_path", str(reports), "--tokenizer", str(tokenizer_file), "--repeats", "1"])
    main()
    assert json.loads(capsys.readouterr().out)["reports"] == 2


def test_file_without_reports_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps({"uid": "a"}))
    with pytest.raises(ValueError, match=r"empty.jsonl has no report"):
        measure(path, tokenizer_file=tokenizer_file)
