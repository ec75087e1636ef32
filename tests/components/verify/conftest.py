# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A copy of a real bundle to plant faults in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.verify import Finding

# Overlays that the faults have nothing to do with: without them each test takes a third of the time.
LEFT_OUT = ("tiny", "finetune", "multi_gpu_train", "multi_gpu_evaluate", "verify", "unet", "official")

Edit = Callable[[dict[str, Any]], object]


class BundleCopy:
    """A bundle whose files tests may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def edit(self, name: str, change: Edit) -> None:
        """Change the object in ``configs/<name>.json``, and write it as our configs are written."""
        path = self.folder / "configs" / f"{name}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the bundle."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, name: str) -> str:
        """Read a file of the bundle."""
        return (self.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def copy_of(tmp_path: Path, repository: Path) -> Callable[[str], BundleCopy]:
    """Copy one of the bundles, with its train, evaluate and inference configs."""

    def copy(name: str) -> BundleCopy:
        left_out = [f"{overlay}.json" for overlay in LEFT_OUT]
        folder = shutil.copytree(repository / "bundles" / name, tmp_path / name, ignore=lambda *_: left_out)
        return BundleCopy(folder)

    return copy


@pytest.fixture
def planted(copy_of: Callable[[str], BundleCopy]) -> BundleCopy:
    """A copy of ``ecamp_segmentation``."""
    return copy_of("ecamp_segmentation")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The radiographs that bundles are verified on."""
    from radbundles.components.verify.made_data import make_data

    return make_data(tmp_path_factory.mktemp("made"))


@pytest.fixture
def runnable(tmp_path: Path, repository: Path) -> BundleCopy:
    """A copy of ``ecamp_classification`` with one overlay beside those of its training and evaluation."""
    kept = {f"{name}.json" for name in ("metadata", "train", "tiny", "evaluate", "inference", "verify", "linear_probe")}
    source = repository / "bundles" / "ecamp_classification"
    (tmp_path / "toy" / "configs").mkdir(parents=True)
    for path in (source / "configs").iterdir():
        if path.name in kept:
            shutil.copyfile(path, tmp_path / "toy" / "configs" / path.name)
    bundle = BundleCopy(tmp_path / "toy")
    bundle.edit("verify", lambda content: content.update(overlays=[probe(content)]))
    return bundle


def probe(verify: dict[str, Any]) -> dict[str, Any]:
    """The linear probe among the overlays."""
    return next(entry for entry in verify["overlays"] if "linear_probe" in entry["configs"])


@pytest.fixture
def checked(made: Path, tmp_path: Path) -> Callable[..., list[Finding]]:
    """Make some checks of a bundle in this process; what the first one writes is in ``tmp_path / "out"``."""

    def find(folder: Path, *checks: str) -> list[Finding]:
        from radbundles.components.verify.checks import run_checks
        from radbundles.components.verify.progress import Progress

        out = tmp_path / "out"
        while out.exists():
            out = out.with_name(f"{out.name}_more")
        out.mkdir()
        run_checks(folder, checks, data=made, out=out)
        progress = Progress.read(out, checks, None)
        assert not progress.skipped
        return progress.findings

    return find


@pytest.fixture
def found(runnable: BundleCopy, checked: Callable[..., list[Finding]]) -> Callable[..., list[Finding]]:
    """Make some checks of the runnable bundle."""
    return lambda *checks: checked(runnable.folder, *checks)
