# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles publish`` shows what it would send, sends it when told to, and says why not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
from tests.hub_server import TOKEN, LocalHub
from typer.testing import CliRunner

import radbundles.cli.publish_command as publish_command
from radbundles.cli.app import app
from radbundles.components import verify
from radbundles.components.verify import CHECKS, Finding, Verdict

assert publish_command  # its import is what registers the command

REPO = "someone/lungs"


@pytest.fixture
def bundle(repository: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(repository / "bundles" / "ecamp_pretrain", tmp_path / "lungs"))
    (folder / "eval").mkdir()
    (folder / "eval" / "predictions.csv").write_text("litter")
    return folder


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the verification finds, which has tests of its own and takes half a minute."""
    found: list[Finding] = []

    def verified(folder: Path, *, checks: Collection[str]) -> Verdict:
        assert list(checks) == list(CHECKS)
        results = {check: "passed" for check in checks} | {"V6": "skipped: too large"}
        return Verdict("lungs", "0.1.0", folder, tuple(found), results, 0.0)

    monkeypatch.setattr(verify, "verify_bundle", verified)
    return found


def test_without_upload_files_and_bytes_are_shown_and_nothing_is_sent(
    bundle: Path, findings: list[Finding], local_hub: LocalHub
) -> None:
    result = CliRunner().invoke(app, ["publish", str(bundle), REPO])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    size = f"{(bundle / 'configs' / 'train.json').stat().st_size:,}"
    assert [size, "configs/train.json"] in [[line[0], line[-1]] for line in lines]
    assert "eval/predictions.csv: output of an evaluation" in result.stdout
    assert "V6 skipped: too large" in result.stdout and "V1" not in result.stdout
    assert "This is a recipe" in result.stdout and "Nothing was sent. Send it with --upload." in result.stdout
    assert not local_hub.requests


def test_an_upload_tells_commit_and_how_to_get_it(bundle: Path, findings: list[Finding], local_hub: LocalHub) -> None:
    result = CliRunner().invoke(app, ["publish", str(bundle), REPO, "--upload", "--private"])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    commit = local_hub.tags(REPO)["0.1.0"]
    assert f"Published: commit {commit}, tag 0.1.0" in result.stdout
    assert result.stdout.endswith(f"Get it: radbundles download {REPO} --revision 0.1.0\n")
    assert TOKEN not in result.output and local_hub.repositories[REPO].private


def test_json_holds_the_same(bundle: Path, findings: list[Finding], local_hub: LocalHub) -> None:
    result = CliRunner().invoke(app, ["publish", str(bundle), REPO, "--upload", "--json"])
    told = json.loads(result.stdout)
    assert told["commit"] == local_hub.tags(REPO)["0.1.0"] and told["weights"] is False
    assert {file["path"]: file["bytes"] for file in told["files"]} == {
        path: len(content) for path, content in local_hub.files(REPO).items()
    }
    assert told["left_out"] == [{"path": "eval/predictions.csv", "why": "output of an evaluation"}]


def test_what_fails_is_told_and_exits_with_1(bundle: Path, findings: list[Finding], local_hub: LocalHub) -> None:
    findings.append(Finding("V8", "configs/train.json", "epochs", "0", "training does nothing", "train longer"))
    result = CliRunner().invoke(app, ["publish", str(bundle), REPO, "--upload"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Not published: the bundle does not pass: V8 configs/train.json: epochs (0)" in result.stderr
    assert not local_hub.repositories


def test_an_unknown_bundle_is_a_wrong_call(local_hub: LocalHub) -> None:
    result = CliRunner().invoke(app, ["publish", "no_such_bundle", REPO])
    assert result.exit_code == 2 and "no bundle 'no_such_bundle'" in result.stderr
