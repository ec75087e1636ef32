# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import radbundles.cli.verify_command as verify_command
from radbundles.cli.app import app

assert verify_command  # its import is what registers the command


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", *words], env={"COLUMNS": "400"})


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """A bundle that did not come with the package."""
    source = repository / "bundles" / "ecamp_pretrain"
    return Path(shutil.copytree(source, tmp_path / "ecamp_pretrain", ignore=shutil.ignore_patterns("eval")))


def plant(bundle: Path) -> None:
    """Let a config make a file beside whoever runs it."""
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["imports"].append("$__import__('os').system('touch marker')")
    path.write_text(json.dumps(config, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def test_a_bundle_of_others_is_audited_before_it_runs(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plant(copy)
    done = call(str(copy))
    assert done.exit_code == 2 and "the audit refuses bundle ecamp_pretrain" in done.output
    assert not (tmp_path / "marker").exists()


def test_reading_checks_run_nothing(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plant(copy)
    done = call(str(copy), "--check", "V1", "--check", "v2", "--json")
    assert done.exit_code == 0, done.output
    [verdict] = json.loads(done.output)
    assert verdict["results"] == {"V1": "passed", "V2": "passed"} and not (tmp_path / "marker").exists()


def test_a_finding_names_file_key_value_and_mend(copy: Path) -> None:
    path = copy / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["version"] = "1.0"
    path.write_text(json.dumps(metadata, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    done = call(str(copy), "--check", "V2")
    assert done.exit_code == 1
    assert "configs/metadata.json" in done.output and "version" in done.output and "1.0" in done.output
    [verdict] = json.loads(call(str(copy), "--check", "V2", "--json").output)
    assert not verdict["passed"] and {"file", "key", "value", "message", "mend"} <= set(verdict["findings"][0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name bundles, or say --all"),
        (["ecamp_pretrain", "--all"], "name bundles, or say --all"),
        (["nothing"], "no bundle 'nothing'"),
        (["ecamp_pretrain", "--check", "V9"], "there is no check V9"),
    ],
)
def test_what_cannot_be_verified_is_told(words: list[str], message: str) -> None:
    done = call(*words)
    assert done.exit_code == 2 and message in done.output
