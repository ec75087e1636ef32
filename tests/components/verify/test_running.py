# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.components.verify.conftest import BundleCopy
from typer.testing import CliRunner

import radbundles.cli.verify_command as verify_command
from radbundles.cli.app import app
from radbundles.components.verify import Finding, Verdict, verify_bundle, verify_bundles
from radbundles.components.verify.progress import Progress, begin, end

assert verify_command  # its import is what registers the command


def replace_network(expression: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(network_def=expression)


def test_crash_and_hang_are_findings_of_their_check_and_of_their_bundle_alone(
    runnable: BundleCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three at a time two end their processes, one at once and one never; the third one is not concerned."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    expressions = {"crash": "$os._exit(7)", "hang": "$__import__('time').sleep(600)", "sound": None}
    for name, expression in expressions.items():
        copy = BundleCopy(tmp_path / "bundles" / name)
        for path in (runnable.folder / "configs").iterdir():
            copy.write(f"configs/{path.name}", path.read_bytes())
        if expression:
            copy.edit("inference", replace_network(expression))
    folders = [tmp_path / "bundles" / name for name in expressions]
    found = {one.name: one for one in verify_bundles(folders, checks=["V7", "V5"], jobs=3, time_limit=10)}
    assert found["sound"].passed and found["sound"].results == {"V5": "passed", "V7": "passed"}
    assert found["sound"].version == "0.1.0"
    for name, told in (("crash", "ended its process with code 7"), ("hang", "took longer than 10 seconds")):
        [finding] = found[name].findings
        assert finding.check == "V5" and told in finding.message and not found[name].passed
        assert found[name].results["V5"] == "failed" and found[name].results["V7"] == f"skipped: V5 {told}"
    assert "OMP_NUM_THREADS" not in os.environ


def test_bundle_that_does_not_say_how_to_become_small_is_checked_without(runnable: BundleCopy, made: Path) -> None:
    (runnable.folder / "configs" / "verify.json").unlink()
    encoder = {"kind": "vit", "patch_size": 32, "dim": 16, "depth": 1, "heads": 2}
    runnable.edit("inference", lambda content: content.update(encoder=encoder))
    verdict = verify_bundle(runnable.folder, checks=["V4", "V5", "V6", "V7", "V8"], data=made)
    skipped = "skipped: no configs/verify.json"
    assert verdict.results == {"V4": skipped, "V5": "passed", "V6": skipped, "V7": "passed", "V8": skipped}
    assert verdict.passed


def test_what_cannot_be_verified_is_refused(runnable: BundleCopy, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder configs"):
        verify_bundle(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="V9"):
        verify_bundle(runnable.folder, checks=["V1", "V9"])
    with pytest.raises(ValueError, match="V9"):
        list(verify_bundles([runnable.folder], checks=["V9"]))


def test_what_was_found_outlives_the_process(tmp_path: Path) -> None:
    finding = Finding("V4", "configs/train.json", "network_def", None, "wrong", "mend it")
    begin(tmp_path, "V4")
    end(tmp_path, "V4", [finding], None)
    begin(tmp_path, "V5")
    end(tmp_path, "V5", [], "no reason")
    begin(tmp_path, "V6")
    (tmp_path / "log.txt").write_text("first\n\nlast words\n")
    progress = Progress.read(tmp_path, ["V4", "V5", "V6", "V7"], "ended its process by signal 9")
    assert progress.findings[0] == finding and progress.findings[1].check == "V6"
    assert "signal 9" in progress.findings[1].message and "last words" in progress.findings[1].message
    assert progress.skipped == {"V5": "no reason", "V7": "V6 ended its process by signal 9"}


def test_process_that_says_nothing_is_a_finding(tmp_path: Path) -> None:
    assert Progress.read(tmp_path, ["V4"], None).findings[0].check == "V4"


def test_command_says_what_is_wrong_by_text_json_and_exit_code(runnable: BundleCopy) -> None:
    """Checks of files alone start no process."""
    options = ["verify", str(runnable.folder), "--check", "v1"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 1 and "FAILED" in done.stdout and "LICENSE" in done.stdout
    [verdict] = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)
    assert verdict["results"] == {"V1": "failed"} and verdict["name"] == "toy" and not verdict["passed"]
    assert {"check", "file", "key", "value", "message", "mend"} == set(verdict["findings"][0])
    done = CliRunner().invoke(app, ["verify", "ecamp_segmentation", "--check", "V1"])
    assert done.exit_code == 0, done.stdout
    assert "passed" in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "name bundles"),
        (["--all", "ecamp_pretrain"], "name bundles"),
        (["nowhere"], "nowhere"),
        (["ecamp_pretrain", "--check", "V9"], "V9"),
    ],
)
def test_command_exits_with_2_where_nothing_can_be_verified(options: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["verify", *options], env={"COLUMNS": "400"})
    assert done.exit_code == 2 and told in done.stderr


def test_skipped_check_with_a_finding_has_failed() -> None:
    from radbundles.components.verify.verdict import results_of

    finding = Finding("V8", "output_dir", None, None, "", "")
    assert results_of(["V7", "V8"], [finding], {"V8": "why", "V7": "why"}) == {"V7": "skipped: why", "V8": "failed"}
    verdict = Verdict("name", None, Path("x"), (finding,), {}, 0.123)
    assert not verdict.passed and verdict.as_dict()["seconds"] == 0.1
