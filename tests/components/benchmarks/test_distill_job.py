# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of distillation by a language model, on few reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radbundles.components.benchmarks.distill_job import main, measure


def test_both_runs_are_measured(tmp_path: Path) -> None:
    figures = measure(tmp_path, reports=60)
    assert figures["reports"] == 60 and figures["sentences"] > 180
    for run in ("asked", "cached"):
        assert figures[run]["reports_per_second"] > 0
        assert list(figures[run]["memory_mib"]) == ["before", "10 %", "50 %", "100 %"]
        assert min(figures[run]["memory_mib"].values()) > 5
    certainties = [
        entity["certainty"]
        for line in (tmp_path / "distilled.jsonl").read_text().splitlines()
        for entity in json.loads(line)["entities"]
    ]
    assert {"present", "uncertain", "absent"} == set(certainties) and len(certainties) == figures["sentences"]


def test_module_prints_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["distill_job", "--reports", "20"])
    main()
    assert json.loads(capsys.readouterr().out)["reports"] == 20
