# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a publication consists of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from radbundles.components.hub.manifest import sha256


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published version.

    Args:
        path: within the bundle, with slashes.
        bytes: its size.
        sha256: its checksum.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """A version of a bundle as it was published, or would be.

    Args:
        repo_id: ``ORG/NAME`` on the Hub.
        version: of the bundle, the name of the tag.
        files: every file of it.
        left_out: files of the folder that were not taken, each with the reason.
        weights: whether it has weights. A bundle without is a recipe: configs to train by.
        checks: results of the verification, by name of the check.
        commit: the tagged commit, or None after a dry run.
    """

    repo_id: str
    version: str
    files: tuple[PublishedFile, ...]
    left_out: tuple[tuple[str, str], ...]
    weights: bool
    checks: dict[str, str]
    commit: str | None = None

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "repo_id": self.repo_id,
            "version": self.version,
            "commit": self.commit,
            "weights": self.weights,
            "bytes": self.bytes,
            "files": [asdict(file) for file in self.files],
            "left_out": [{"path": path, "why": why} for path, why in self.left_out],
            "checks": self.checks,
        }


def list_files(folder: Path) -> tuple[PublishedFile, ...]:
    """Return every file of a staged bundle."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        PublishedFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in paths
    )
