# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbundles.cli import audit_command  # noqa: F401
from radbundles.cli.app import app


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "hostile"
    (folder / "configs").mkdir(parents=True)
    config = {"network_def": {"_target_": "someone.Net"}, "x": "$1 + 1", "path": "models/model.pt"}
    (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_refused_bundle_ends_with_one_and_names_file_key_value_and_mend(hostile: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(hostile)])
    assert done.exit_code == 1
    assert "configs/inference.json: network_def#_target_ = 'someone.Net'" in done.output
    assert "--allow someone.Net" in done.output


def test_allowed_bundle_ends_with_zero(hostile: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(hostile), "--allow", "someone.Net"])
    assert done.exit_code == 0 and "Passed" in done.output


def test_json_holds_the_report(hostile: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(hostile), "--json"])
    report = json.loads(done.output)
    assert done.exit_code == 1 and report["passed"] is False
    assert report["targets"] == {"third party": ["someone.Net"]}
    assert report["files"] == {"models/model.pt": ["configs/inference.json: path"]}


def test_nothing_to_audit_ends_with_two(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(tmp_path / "absent")])
    assert done.exit_code == 2 and "absent" in done.output
