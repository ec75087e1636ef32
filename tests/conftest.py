# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable, REPOSITORY.parent / "shared" / default))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real open data (``RADBUNDLES_DATA``); tests that need it skip when it is absent."""
    folder = _folder("RADBUNDLES_DATA", "data")
    if not (folder / "manifest.jsonl").is_file():
        pytest.skip("real data not found: set RADBUNDLES_DATA to the folder that holds manifest.jsonl")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder of reference tensors (``RADBUNDLES_GOLDEN``); tests that need it skip when it is absent."""
    folder = _folder("RADBUNDLES_GOLDEN", "golden")
    if not folder.is_dir():
        pytest.skip("reference tensors not found: set RADBUNDLES_GOLDEN to their folder")
    return folder
