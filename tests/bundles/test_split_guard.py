# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Every run refuses splits that share patients or images, unless told otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from radbundles.components.data import SplitLeakError, iter_datalist, write_datalist

Make = Callable[..., ConfigWorkflow]


def _configs(repository: Path) -> dict[str, Any]:
    """Configs that start a run on a datalist, by bundle and name."""
    found = {}
    for path in sorted(repository.glob("bundles/*/configs/*.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        if "initialize" in config and path.name != "inference.json":
            found[f"{path.parts[-3]}/{path.name}"] = config
    return found


def test_every_run_on_a_datalist_is_guarded(repository: Path) -> None:
    """Whatever replaces the list of steps keeps the guard, and each training config has the switch."""
    configs = _configs(repository)
    assert {"ecamp_pretrain/train.json", "dcxfm_dense/unet.json", "dcxfm_pretrain/evaluate.json"} <= configs.keys()
    for name, config in configs.items():
        steps = [step for step in config["initialize"] if isinstance(step, dict) and "guard_s" in step["_target_"]]
        assert len(steps) == 1 and steps[0]["allow"] == "@allow_leaks", name
        if name.endswith("/train.json"):
            assert config["allow_leaks"] is False, name


def test_leaky_datalist_stops_a_run_before_it_starts(
    prepared: Path, tmp_path: Path, small: dict[str, Any], workflow: Make
) -> None:
    """A validation film that is a copy of a training film is found; the switch lets it pass."""
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    rows = [(split, item) for _, split, item in iter_datalist(data / "datalist.json")]
    first, copy = (next(item for split, item in rows if split == wanted) for wanted in ("training", "validation"))
    shutil.copyfile(data / first["image"], data / copy["image"])
    write_datalist(data / "datalist.json", rows)
    settings = {"dataset_dir": str(data), "output_dir": str(tmp_path / "out"), **small}
    with pytest.raises(RuntimeError, match="guard_splits") as error:
        workflow("train", "tiny", **settings)
    assert isinstance(error.value.__cause__, SplitLeakError)
    assert "1 image stands in two splits" in str(error.value.__cause__)
    workflow("train", "tiny", allow_leaks=True, **settings)
