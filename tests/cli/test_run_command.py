# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs of a bundle by name; an override that nothing reads is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import radbundles.cli.run_command as run_command
from radbundles.cli.app import app

assert run_command  # its import is what registers the command

TRAIN: dict[str, Any] = {
    "bundle_root": ".",
    "epochs": 3,
    "out": "./out",
    "sizes": {"dim": 8, "widths": [1, 2]},
    "late": "$@given if @epochs > 100 else None",
    "initialize": [{"_target_": "radbundles.require", "spec": ">=0.1"}],
    "run": [
        {
            "_target_": "radbundles.components.evaluation.write_json",
            "path": "@out",
            "value": {"epochs": "@epochs", "sizes": "@sizes", "root": "@bundle_root"},
        }
    ],
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "toy one"
    (folder / "configs").mkdir(parents=True)
    for name, content in (("train", TRAIN), ("short", {"epochs": 1}), ("metadata", {"version": "0.1.0"})):
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content))
    return folder


ALLOWED = [f"--allow=radbundles.components.evaluation.{name}" for name in ("write_json", "read_json")]


def call(*words: str, allow: Sequence[str] = ALLOWED) -> Result:
    return CliRunner().invoke(app, ["run", *words, *allow], env={"COLUMNS": "400"})


def test_a_bundle_that_does_what_the_audit_does_not_know_is_not_run(bundle: Path, tmp_path: Path) -> None:
    done = call(str(bundle), "train", "--out", str(tmp_path / "found.json"), allow=())
    assert done.exit_code == 2 and "radbundles.components.evaluation.write_json" in done.output
    assert not (tmp_path / "found.json").exists()


def test_configs_run_by_name_from_anywhere(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(str(bundle), "train", "short", "--out", "found.json", "--sizes#dim=16", "--sizes::widths#0", "7")
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "found.json").read_text())
    assert written == {"epochs": 1, "sizes": {"dim": 16, "widths": [7, 2]}, "root": str(bundle)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--epoch", "1"], "nothing in train.json reads 'epoch': did you mean 'epochs'?"),
        (
            ["train", "short", "--zzz", "1"],
            "nothing in train.json and short.json reads 'zzz'; it has bundle_root, epochs",
        ),
        (["train", "--sizes#depth#a", "1"], "'sizes#depth#a' goes into 'sizes#depth'"),
        (["train", "--sizes#widths#x", "1"], "has no place 'x'"),
        (["trian"], "has no config 'trian'; it has short, train"),
        (["metadata"], "has no config 'metadata'"),
        ([], "name the configs to run; bundle toy one has short, train"),
        (["train", "--epochs"], "--epochs has no value"),
        (["train", "--epochs", "1", "2"], "'2' stands behind an override"),
        (["train", "--bundle_root", "."], "bundle_root follows from the names"),
        (["train", "--out", "/proc/nowhere/x.json"], "No such file"),
    ],
)
def test_what_would_go_nowhere_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(str(bundle), *words)
    if message == "No such file":  # an error of the run itself is raised as it is
        assert isinstance(done.exception, RuntimeError) and message in str(done.exception.__cause__)
        return
    assert done.exit_code == 2 and message in done.output, done.output
    assert not (tmp_path / "out").exists()


def test_an_id_that_only_an_expression_reads_may_be_given(bundle: Path, tmp_path: Path) -> None:
    assert call(str(bundle), "train", "--given", "1", "--out", str(tmp_path / "a.json")).exit_code == 0


def test_a_cause_is_told_in_its_own_words(bundle: Path) -> None:
    broken = TRAIN | {"initialize": [{"_target_": "radbundles.require", "spec": "<0.0.1"}]}
    broken["initialize"] = [
        {"_target_": "radbundles.components.evaluation.read_json", "path": "none.json", "what": "x"}
    ]
    (bundle / "configs" / "train.json").write_text(json.dumps(broken))
    done = call(str(bundle), "train")
    assert done.exit_code == 2 and "there is no x at none.json" in done.output


def test_show_prints_the_command_of_monai(bundle: Path) -> None:
    done = call(str(bundle), "train", "short", "--show", "--epochs", "2", "--sizes", '{"dim": 4}')
    words = shlex.split(done.output)
    assert words[:4] == ["python", "-m", "monai.bundle", "run"]
    files = [str(bundle / "configs" / f"{name}.json") for name in ("train", "short")]
    assert eval(words[words.index("--config_file") + 1]) == files
    assert words[words.index("--bundle_root") + 1] == str(bundle)
    assert json.loads(words[words.index("--sizes") + 1]) == {"dim": 4} and words[words.index("--epochs") + 1] == "2"


def test_an_unknown_bundle_is_named() -> None:
    assert "no bundle 'nothing'" in call("nothing", "train").output
