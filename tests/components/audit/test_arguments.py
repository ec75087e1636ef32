# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Arguments through which an allowed component would call what they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.components.audit.conftest import MakeBundle, refused

from radbundles.components.audit import audit_bundle


def hand_on(mark: Path) -> dict[str, Any]:
    """A class that a later call gives its first argument, which is the name of what it calls."""
    return {"_target_": "LoadImage", "_mode_": "callable", "command": f"touch {mark}"}


@pytest.mark.parametrize(
    "run",
    [
        {"_target_": "DatasetFunc", "data": "os.system", "func": "@loader"},
        "$max(['os.system'], key=@loader)",
    ],
)
def test_classes_are_not_handed_on(make_bundle: MakeBundle, mark: Path, run: Any) -> None:
    found = refused(audit_bundle(make_bundle(inference={"loader": hand_on(mark), "run": run})))
    assert any(finding.key == "loader#_mode_" and "LoadImage" in finding.message for finding in found)


def test_classes_are_not_handed_on_by_an_overlay(make_bundle: MakeBundle, mark: Path) -> None:
    loader = {key: value for key, value in hand_on(mark).items() if key != "_mode_"}
    for key in ("loaders#0#_mode_", "loaders#-1#_mode_", "+loaders#0"):
        folder = make_bundle(
            inference={"loaders": [loader]}, more={key: {"_mode_": "callable"} if key[0] == "+" else "callable"}
        )
        assert refused(audit_bundle(folder))


def test_classes_are_not_laid_over_functions_that_move(make_bundle: MakeBundle) -> None:
    collate = {"_target_": "radbundles.components.engines.loss_of", "_mode_": "callable"}
    folder = make_bundle(inference={"list": [1]}, more={"+list": [collate]}, most={"list#1#_target_": "LoadImage"})
    assert {finding.key for finding in refused(audit_bundle(folder))} == {"list#1#_target_"}


@pytest.mark.parametrize(
    "name", ["LoadImage", "monai.data.load_decathlon_datalist", "radbundles.components.hub.pack_run"]
)
def test_only_functions_of_the_list_are_handed_on(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle(inference={"x": {"_target_": name, "_mode_": "callable"}})
    assert {finding.key for finding in refused(audit_bundle(folder))} == {"x#_mode_"}


def test_readers_are_readers(make_bundle: MakeBundle) -> None:
    for name in ("radbundles.components.hub.pack_run", "LoadImage", "UNet"):
        folder = make_bundle(inference={"x": {"_target_": "LoadImage", "reader": name}})
        assert {finding.key for finding in refused(audit_bundle(folder))} == {"x#reader"}


def test_networks_fetch_no_weights(make_bundle: MakeBundle) -> None:
    network = {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    assert audit_bundle(make_bundle(inference={"x": {**network, "pretrained": False}})).passed
    assert refused(audit_bundle(make_bundle(inference={"x": {**network, "pretrained": True}})))
    assert refused(audit_bundle(make_bundle(inference={"x": {"_target_": "EfficientNetBN"}})))


def test_functions_are_handed_on(make_bundle: MakeBundle) -> None:
    collate = {"_target_": "radbundles.components.data.collate_labels", "_mode_": "callable"}
    assert audit_bundle(make_bundle(inference={"collate": collate})).passed


@pytest.mark.parametrize(
    "expression",
    [
        "$dict(trust_remote_code=True)",
        "${'trust_remote_code': True}",
        "${'attn_implementation': 'org/kernel'}",
        "$dict(reader='os.system')",
        "$dict(weights_only=False)",
    ],
)
def test_arguments_in_expressions_are_judged_by_name(make_bundle: MakeBundle, expression: str) -> None:
    assert refused(audit_bundle(make_bundle(inference={"x": expression})))


@pytest.mark.parametrize("key", ["auto_map", "quantization_config", "_attn_implementation", "trust_remote_code"])
def test_settings_of_models_bring_no_code(make_bundle: MakeBundle, key: str) -> None:
    folder = make_bundle()
    (folder / "models" / "encoder").mkdir()
    config = {"model_type": "bert", key: {"AutoModel": "org/repository--code.Model"}}
    (folder / "models" / "encoder" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert refused(audit_bundle(folder))


@pytest.mark.parametrize(
    ("call", "passes"),
    [
        ("$dist.init_process_group('gloo')", True),
        ("$dist.init_process_group(backend='nccl')", True),
        ("$dist.init_process_group('gloo', @where)", False),
        ("$dist.init_process_group('gloo', init_method=@where)", False),
        ("$dist.init_process_group(**@where)", False),
    ],
)
def test_processes_meet_where_torchrun_says(make_bundle: MakeBundle, call: str, passes: bool) -> None:
    inference = {"imports": ["$import torch.distributed as dist"], "where": {}, "initialize": [call], "run": []}
    assert audit_bundle(make_bundle(inference=inference)).passed is passes
