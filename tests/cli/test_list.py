# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles list``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import radbundles.cli.list_command  # noqa: F401
from radbundles.cli.app import app


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy" / "configs").mkdir(parents=True)
    metadata = {"version": "0.2.0", "task": "Testing", "description": "Only looked at."}
    (tmp_path / "toy" / "configs" / "metadata.json").write_text(json.dumps(metadata))
    monkeypatch.setenv("RADBUNDLES_PATH", str(tmp_path))
    return tmp_path


def test_text_names_version_task_origin_and_weights(made: Path) -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    toy = result.stdout[result.stdout.index("toy 0.2.0") :]
    for part in (f"from {made}", "task: Testing", "description: Only looked at.", "weights: none"):
        assert part in toy


def test_json_holds_one_object_a_bundle(made: Path) -> None:
    listed = {bundle["name"]: bundle for bundle in json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)}
    assert listed["toy"]["version"] == "0.2.0"
    assert listed["toy"]["folder"] == str(made / "toy")
    assert all(bundle["origin"] == "checkout" for name, bundle in listed.items() if name != "toy")


def test_faulty_metadata_is_shown(made: Path) -> None:
    (made / "toy" / "configs" / "metadata.json").write_text("{")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert "toy (no version)" in result.stdout and "fault:" in result.stdout


def test_wrong_search_path_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADBUNDLES_PATH", "nowhere")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 2
    assert "nowhere" in result.output


def test_folder_of_one_bundle_can_stand_in_a_command(made: Path) -> None:
    result = CliRunner().invoke(app, ["list", "--path", "toy"])
    assert result.exit_code == 0 and result.stdout == f"{made / 'toy'}\n"
    unknown = CliRunner().invoke(app, ["list", "--path", "tyo"])
    assert unknown.exit_code == 2 and "tyo" in unknown.output
