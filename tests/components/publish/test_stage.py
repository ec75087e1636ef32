# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The clean copy holds what belongs to a bundle, completed, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tests.components.publish.conftest import content_of

from radbundles.components.hub import check_manifest
from radbundles.components.publish import stage_bundle

LITTER = {
    "eval/predictions.csv": "output of an evaluation",
    "models/model.ts": "not the weights that inference.json loads",
    "models/checkpoint_last.pt": "not the weights that inference.json loads",
    "models/model.pt.partial": "not the weights that inference.json loads",
    "configs/__pycache__/x.cpython-311.pyc": "a cache",
    ".git/config": "a cache",
    ".cache/huggingface/x.lock": "a cache",
    "runs/events.out.tfevents.1": "a log of a run",
    "docs/events.out.tfevents.1": "a log of a run",
    "train.log": "a log of a run",
    "scripts/net.py": "code, which a bundle of radbundles has none of",
    ".DS_Store": "a hidden file",
    "docs/.secret.json": "a hidden file",
    "docs/.hidden/notes.md": "no part of a bundle",
    "predictions.csv": "no part of a bundle",
    "docs/scan.dcm": "no part of a bundle",
    "manifest.json": "written anew",
    "README.md": "written anew",
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "staged" / "edema_classification"


def test_only_what_belongs_to_a_bundle_is_taken(trained: Path, out: Path) -> None:
    before = content_of(trained)
    for path in LITTER:
        (trained / path).parent.mkdir(parents=True, exist_ok=True)
        (trained / path).write_text("litter")
    assert dict(stage_bundle(trained, out)) == LITTER
    added = {"README.md", "manifest.json", "models/model.safetensors"}
    assert content_of(out).keys() == before.keys() | added
    unchanged = before.keys() - {"docs/README.md", "docs/data_license.txt"}
    assert {path: content_of(out)[path] for path in unchanged} == {path: before[path] for path in unchanged}
    assert b"litter" not in b"".join(content_of(out).values())


def test_the_bundle_itself_stays_as_it_is(trained: Path, out: Path) -> None:
    before = content_of(trained)
    stage_bundle(trained, out)
    assert content_of(trained) == before


def test_the_manifest_vouches_for_every_file(trained: Path, out: Path) -> None:
    stage_bundle(trained, out)
    assert check_manifest(out) == []
    (out / "README.md").write_text("another card")
    assert len(check_manifest(out)) == 1


def test_the_card_has_one_front_matter_and_is_that_of_these_weights(trained: Path, out: Path) -> None:
    (trained / "docs" / "README.md").write_text("# An older card\n")
    stage_bundle(trained, out)
    card = (out / "README.md").read_text(encoding="utf-8")
    _, block, text = card.split("---\n", 2)
    assert yaml.safe_load(block)["library_name"] == "monai"
    assert "\n---\n" not in text and "library_name" not in text
    assert text.lstrip("\n") == (out / "docs" / "README.md").read_text(encoding="utf-8")
    assert "This bundle holds weights" in text and "An older card" not in text


def test_the_same_bundle_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    """Or else an attempt that was cut off could not be taken up."""
    for name in ("one", "two"):
        stage_bundle(trained, tmp_path / name / "edema")
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")


def test_a_card_of_hand_is_taken_as_it_is(trained: Path, out: Path) -> None:
    (trained / "docs" / "sections.md").unlink()
    (trained / "docs" / "README.md").write_text("# By hand\n")
    stage_bundle(trained, out)
    assert (out / "README.md").read_text(encoding="utf-8").endswith("---\n\n# By hand\n")


def test_a_second_front_matter_is_refused(trained: Path, out: Path) -> None:
    (trained / "docs" / "sections.md").unlink()
    (trained / "docs" / "README.md").write_text("---\nlicense: mit\n---\n# Card\n")
    with pytest.raises(ValueError, match=r"docs/README.md starts with front matter: remove the block"):
        stage_bundle(trained, out)


@pytest.mark.parametrize("path", ["models/model.pt", "configs/inference.json", "docs"])
def test_links_are_refused(trained: Path, out: Path, tmp_path: Path, path: str) -> None:
    (trained / path).rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", trained / path)
    with pytest.raises(ValueError, match=f"{path} is a link: put a copy of what it leads to"):
        stage_bundle(trained, out)


def test_what_is_no_bundle_is_told(tmp_path: Path, out: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no bundle at .*configs/metadata.json is missing"):
        stage_bundle(tmp_path, out)
