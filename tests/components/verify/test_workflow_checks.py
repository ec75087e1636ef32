# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.components.verify.conftest import BundleCopy

from radbundles.components.verify import Finding

Find = Callable[..., list[Finding]]
TINY = "configs/train.json + configs/tiny.json"


def test_wrong_argument_is_told_with_its_place(runnable: BundleCopy, found: Find) -> None:
    """Five heads cannot share 64 dimensions."""
    runnable.edit("tiny", lambda content: content["encoder"].update(heads=5))
    first = found("V4")[0]
    assert (first.check, first.file, first.key) == ("V4", TINY, "network_def#encoder")
    assert first.value == "radbundles.networks.build_encoder" and "heads" in first.message


def test_overlay_that_breaks_is_told_by_its_name_alone(runnable: BundleCopy, found: Find) -> None:
    runnable.edit("linear_probe", lambda content: content.update(trained="hand"))
    [finding] = found("V4")
    assert finding.file == f"{TINY} + configs/linear_probe.json" and "hand" in finding.message


def test_missing_property_is_told(runnable: BundleCopy, found: Find) -> None:
    """MONAI wants ``train#inferer``; the trainer works without that name."""

    def inline(content: dict[str, Any]) -> None:
        content["train"]["trainer"]["inferer"] = content["train"].pop("inferer")

    runnable.edit("train", inline)
    findings = found("V4")
    assert {finding.key for finding in findings} == {"train#inferer"}
    assert "MONAI demands" in findings[0].message and "@id" in findings[0].mend


def test_property_that_goes_by_another_name_is_told(runnable: BundleCopy, found: Find) -> None:
    """Tools that exchange ``train#handlers`` would exchange what nobody uses."""

    def rename(content: dict[str, Any]) -> None:
        content["train"]["hooks"] = content["train"]["handlers"]
        content["train"]["trainer"]["train_handlers"] = "@train#hooks"

    runnable.edit("train", rename)
    assert {finding.key for finding in found("V4")} == {"train#handlers"}


def test_handlers_by_reference_are_told(runnable: BundleCopy, found: Find) -> None:
    """MONAI's check_properties() crashes on them."""

    def refer(content: dict[str, Any]) -> None:
        content["progress"] = content["train"]["handlers"][3]
        content["train"]["handlers"][3] = "@progress"

    runnable.edit("train", refer)
    findings = found("V4")
    assert findings and all("inside the list, not as references" in finding.message for finding in findings)


def test_training_that_fails_is_told_once(runnable: BundleCopy, found: Find) -> None:
    runnable.edit("train", lambda content: content["run"].insert(1, "$1 / 0"))
    [finding] = found("V4", "V8")
    assert (finding.check, finding.file) == ("V8", TINY) and "ZeroDivisionError" in finding.message


def test_files_that_are_promised_written_into_the_bundle_or_left_behind_are_told(
    runnable: BundleCopy, found: Find
) -> None:
    runnable.edit("verify", lambda content: content["train"]["gives"].append("best.pt"))
    runnable.edit("train", lambda content: content["run"].append("$open(@bundle_root + '/notes.txt', 'w').close()"))
    runnable.edit("evaluate", lambda content: content["run"].append("$open('stray.txt', 'w').close()"))
    findings = {finding.value or finding.file: finding for finding in found("V8")}
    assert findings.keys() == {"best.pt", "stray.txt", "notes.txt"}, findings
    assert findings["best.pt"].file == TINY and findings["stray.txt"].file == f"{TINY} + configs/evaluate.json"
    assert all("output_dir" in finding.mend or finding.key == "output_dir" for finding in findings.values())
    assert not (runnable.folder / "notes.txt").exists(), "a copy was run"


def test_sound_bundle_passes_and_so_does_the_one_that_its_training_makes(
    found: Find, checked: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    """The latter comes with weights: it is asked as it is, at the size of its weights."""
    assert found("V4", "V8") == []
    packed = tmp_path / "out" / "run" / "bundle"
    assert (packed / "configs" / "verify.json").is_file() and (packed / "models" / "model.pt").is_file()
    assert checked(packed, "V4", "V5", "V7", "V8") == []


@pytest.mark.parametrize(
    ("change", "key", "told"),
    [
        (lambda content: content["values"].update(epoch=1), "values#epoch", "no config"),
        (
            lambda content: content["train"]["values"].update({"network#dim": 1, "nett#dim": 1}),
            "nett#dim",
            "no such id",
        ),
        (lambda content: content["overlays"].clear(), "overlays", "linear_probe.json"),
        (lambda content: content["inference"].update(config=["inference"]), "inference", "config"),
        (lambda content: content["evaluate"]["configs"].append("judge"), "judge", "no config"),
    ],
)
def test_mistakes_in_verify_json_are_told_once(
    runnable: BundleCopy, found: Find, change: Any, key: str, told: str
) -> None:
    runnable.edit("verify", change)
    from radbundles.components.verify.small_bundle import SmallBundleError, read_small_bundle

    with pytest.raises(SmallBundleError) as error:
        read_small_bundle(runnable.folder)
    assert error.value.key == key and told in str(error.value)


def test_values_reach_only_the_configs_that_have_them(runnable: BundleCopy) -> None:
    from radbundles.components.verify.small_bundle import read_small_bundle

    small = read_small_bundle(runnable.folder)
    common = json.loads(runnable.read("configs/verify.json"))["values"]
    assert small is not None and common.items() <= small.train.values.items()
    assert "epochs" in small.evaluate.values and "epochs" not in small.inference.values
    assert small.inference.values["num_workers"] == common["num_workers"]
