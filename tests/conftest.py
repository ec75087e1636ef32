# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hub_server import LocalHub

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


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub on loopback that this process and those it starts talk to, with the token, and caches in ``tmp_path``."""
    from tests.hub_client import send_client_to
    from tests.hub_server import LocalHub

    with LocalHub() as hub:
        with send_client_to(hub, tmp_path / "hf_home", monkeypatch):
            yield hub
