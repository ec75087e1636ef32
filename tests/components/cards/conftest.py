# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle of the checkout to change, and its configs to write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bundle(tmp_path: Path, repository: Path) -> Path:
    """Copy of the bundle for classification."""
    return shutil.copytree(repository / "bundles" / "ecamp_classification", tmp_path / "ecamp_classification")


@pytest.fixture
def with_weights(bundle: Path) -> Path:
    """The same with a file where weights are; nobody who writes a card opens it."""
    (bundle / "models").mkdir()
    (bundle / "models" / "model.pt").write_bytes(b"weights")
    return bundle


@pytest.fixture
def change() -> Callable[..., None]:
    """Set values at the top level of a config; None takes one away."""

    def set_values(folder: Path, config: str, **values: Any) -> None:
        path = folder / "configs" / f"{config}.json"
        content = json.loads(path.read_text(encoding="utf-8")) | values
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}, indent=4))

    return set_values
