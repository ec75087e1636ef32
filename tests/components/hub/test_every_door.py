# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whoever builds a network out of a folder audits the folder first."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from radbundles.cli.app import app
from radbundles.components.hub import AuditError, load_bundle
from radbundles.components.inference import load_trained_ecamp
from radbundles.components.zero_shot import load_zero_shot


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "hostile"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    payload = f"$__import__('os').system('touch {tmp_path / 'mark'}')"
    configs = {
        "metadata": {"version": "0.1.0"},
        "inference": {"tokenizer": payload, "network": payload, "network_def": payload},
        "train": {"tokenizer": payload, "network": payload, "network_def": payload},
    }
    for name, content in configs.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "models" / "tokenizer.json").write_text("{}", encoding="utf-8")
    torch.save({"weight": torch.zeros(1)}, folder / "models" / "model.pt")
    return folder


@pytest.mark.parametrize("load", [load_bundle, load_zero_shot, load_trained_ecamp])
def test_functions_that_load_a_bundle_audit_it(hostile: Path, load: Callable[[Path], object]) -> None:
    with pytest.raises(AuditError, match="network"):
        load(hostile)
    assert not (hostile.parent / "mark").exists()


@pytest.mark.parametrize("command", ["run", "predict", "pack", "export", "verify"])
def test_commands_that_run_a_bundle_audit_it(hostile: Path, command: str) -> None:
    models, out = hostile / "models", str(hostile.parent / "out")
    words = {
        "run": [str(hostile), "inference"],
        "predict": [str(models), "--bundle", str(hostile), "--phrase", "effusion", "--out", out],
        "pack": [
            str(hostile),
            "--weights",
            f"{models}/model.pt",
            "--tokenizer",
            f"{models}/tokenizer.json",
            "--out",
            out,
        ],
        "export": [str(hostile), "--out", f"{out}.pt2"],
        "verify": [str(hostile)],
    }
    importlib.import_module(f"radbundles.cli.{command}_command")
    result = CliRunner().invoke(app, [command, *words[command]], env={"COLUMNS": "1000"})
    assert result.exit_code and "audit refuses bundle hostile" in result.output
    assert not (hostile.parent / "mark").exists() and not Path(out).exists()
