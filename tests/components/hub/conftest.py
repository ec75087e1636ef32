# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A made bundle to examine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

METADATA = {
    "version": "0.2.0",
    "name": "Toy",
    "task": "Testing",
    "description": "A bundle that is only looked at.",
    "monai_version": "1.0.0",
    "pytorch_version": "2.0.0",
    "numpy_version": "1.20.0",
    "required_packages_version": {"pydicom": "2.0.0"},
}


@pytest.fixture
def toy_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a complete bundle without weights, found through RADBUNDLES_PATH."""
    root = tmp_path / "hub" / "toy_segmentation"
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text\n")
    (root / "configs").mkdir()
    (root / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    preflight = {"initialize": ["$__import__('radbundles').require('>=0.0.1')"]}
    (root / "configs" / "train.json").write_text(json.dumps(preflight))
    monkeypatch.setenv("RADBUNDLES_PATH", str(root.parent))
    return root
