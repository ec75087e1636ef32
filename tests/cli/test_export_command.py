# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles export`` and ``radbundles vendor``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbundles.cli import export_command, vendor_command
from radbundles.cli.app import app

assert export_command and vendor_command  # importing them adds the commands
runner = CliRunner()


@pytest.fixture
def asked(answering: Path, tmp_path: Path) -> Path:
    """A bundle of stage 1 whose class table takes the tokenizer's few words."""
    return Path(shutil.copytree(answering, tmp_path / "asked"))


def test_question_and_overlay_reach_the_file(asked: Path, tmp_path: Path) -> None:
    out = tmp_path / "asked.ts"
    told = runner.invoke(
        app, ["export", str(asked), "--config", "small", "--phrase", "left effusion", "--out", str(out)]
    )
    assert told.exit_code == 0, told.output
    assert f"{out}: torchscript" in told.output.replace("\n", "") and "differs from the network by" in told.output
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["output"]["classes"] == ["left effusion"] and record["trained"] is True
    assert record["input"]["shape"] == ["batch", 3, 96, 96]


def plain(output: str) -> str:
    return " ".join(output.replace("│", " ").split())


def test_faults_are_told_in_one_line(asked: Path, tmp_path: Path) -> None:
    command = ["export", str(asked), "--config", "small"]
    for options, words in (
        (["--out", str(tmp_path / "net.bin")], "the forms are torch (.pt2), onnx (.onnx), torchscript (.ts)"),
        (["--class", "Unheard of", "--out", str(tmp_path / "net.ts")], "Unheard of"),
        (["--weights", str(tmp_path / "none.pt"), "--out", str(tmp_path / "net.ts")], "no weights at"),
    ):
        told = runner.invoke(app, [*command, *options])
        assert told.exit_code == 2 and words in plain(told.output), told.output
    told = runner.invoke(app, ["export", "ecamp_classification", "--class", "Edema", "--out", str(tmp_path / "net.ts")])
    assert told.exit_code == 2 and "leave out --phrase and --class" in plain(told.output)
    assert not list(tmp_path.glob("net*"))


def test_bundle_of_others_is_audited_before_it_runs(asked: Path, tmp_path: Path) -> None:
    path = asked / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    marker = tmp_path / "ran"
    path.write_text(json.dumps({**content, "level": f"$open({str(marker)!r}, 'w').close()"}), encoding="utf-8")
    told = runner.invoke(app, ["export", str(asked), "--config", "small", "--out", str(tmp_path / "net.ts")])
    assert told.exit_code == 2 and "open" in plain(told.output)
    assert not marker.exists() and not (tmp_path / "net.ts").exists()


def test_bundle_is_copied_with_its_code(tmp_path: Path) -> None:
    out = tmp_path / "copy"
    told = runner.invoke(app, ["vendor", "ecamp_pretrain", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert (out / "scripts" / "networks" / "ecamp.py").is_file() and "modules" in told.output
    again = runner.invoke(app, ["vendor", "ecamp_pretrain", "--out", str(out)])
    assert again.exit_code == 2 and "is there already" in plain(again.output)
