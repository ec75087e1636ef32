# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A new user's way, from an empty folder with nothing but the wheel: every command as the pages print it."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest
import torch
from tests.guides.conftest import Follow

from radbundles.components.hub import check_manifest

User = tuple[Path, Follow]


@pytest.fixture(scope="module")
def started(user: User) -> Path:
    """The folder of somebody who has followed the quick start."""
    folder, follow = user
    said = follow("quickstart")
    assert any("effusion" in text for text in said.values())
    return folder


def test_quick_start_runs_the_installed_wheel(started: Path, bin_folder: Path) -> None:
    code = "import radbundles, pathlib; print(pathlib.Path(radbundles.__file__).resolve())"
    done = subprocess.run([bin_folder / "python", "-c", code], cwd=started, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(bin_folder.parent.resolve()))


def test_quick_start_downloads_what_was_published(started: Path, trained: Path) -> None:
    got = started / "chest_findings"
    assert check_manifest(got) == []
    for name in ("models/model.pt", "configs/train.json", "configs/metadata.json"):
        assert (got / name).read_bytes() == (trained / name).read_bytes(), name


def test_quick_start_answers_for_a_dicom(started: Path) -> None:
    with (started / "found" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert {"probability effusion", "probability cardiomegaly"} <= set(row)


def test_quick_start_goes_on_from_the_downloaded_encoder(started: Path) -> None:
    """With a class more than the bundle had: the encoder is that of the bundle, trained on."""
    run = started / "runs" / "mine"
    start = json.loads((run / "start.json").read_text(encoding="utf-8"))
    assert (start["bundle"], start["version"], start["loaded"]) == ("chest_findings", "0.1.0", "encoder")
    first, later = (
        torch.load(folder / "models" / "model.pt", weights_only=True)
        for folder in (started / "chest_findings", run / "bundle")
    )
    drift = [(first[key] - later[key]).abs().mean() / first[key].abs().mean() for key in later if "qkv.weight" in key]
    assert 0 < max(drift) < 0.5, "moved, but not from anywhere else"
    result = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert list(result["classes"]) == ["effusion", "cardiomegaly", "edema"]
    with (started / "answers" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 60


def test_a_shared_bundle_passes_every_gate(started: Path, user: User) -> None:
    folder, follow = user
    said = "\n".join(follow("sharing").values())
    assert "model.safetensors" in said and "0.2.0" in said
    assert (folder / "chest_findings.pt2").is_file() and (folder / "vendored" / "scripts").is_dir()
    assert check_manifest(folder / "downloaded" / "chest_findings") == []


@pytest.mark.parametrize("page", ["compose", "add_method"])
def test_tutorial_works_as_it_stands(started: Path, user: User, page: str) -> None:
    folder, follow = user
    assert follow(page)
    made = {"compose": "runs/age", "add_method": "runs/asymmetric/evaluation/report.html"}[page]
    assert (folder / made).exists()
