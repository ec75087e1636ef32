# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists what is in a folder that is not trusted: bounded, never through a link, never out of it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from radbundles.components.audit.ledger import Ledger

MAX_FILES = 10_000
MAX_DEPTH = 16
_COMMIT, _BLOB = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def list_files(root: Path, ledger: Ledger) -> dict[str, Path]:
    """Return the regular files of a folder by their path within it; links and special files are refused and left out.

    The one link that is followed is that of the Hugging Face cache, which its client makes itself: from a snapshot to a
    file under the ``blobs`` beside it.
    """
    files: dict[str, Path] = {}
    waiting, seen = [(root, 0)], 0
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            ledger.refuse(_name(root, folder), None, None, f"cannot be listed: {error.strerror}", "see to its rights")
            continue
        for entry in found:
            path, name = Path(entry.path), _name(root, Path(entry.path))
            seen += 1
            if seen > MAX_FILES:
                message = f"is where the folder holds more than {MAX_FILES} entries"
                ledger.refuse(name, None, None, message, "keep data and caches out of bundles")
                return files
            if depth >= MAX_DEPTH:
                ledger.refuse(name, None, None, f"lies deeper than {MAX_DEPTH} levels", "make the folder flatter")
                continue
            if not entry.name.isprintable():
                message = "has a name with signs that cannot be printed, in which readers of paths differ"
                ledger.refuse(name, None, None, message, "rename it")
            elif entry.is_symlink() and not _is_cached(root, path):
                ledger.refuse(name, None, None, "is a link, which could lead anywhere", "put the file itself there")
            elif entry.is_dir():
                waiting.append((path, depth + 1))
            elif stat.S_ISREG(entry.stat().st_mode):
                files[name] = path
            else:
                ledger.refuse(name, None, None, "is no regular file", "remove it")
    return dict(sorted(files.items()))


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_cached(root: Path, path: Path) -> bool:
    """Whether a link leads from a snapshot of the Hugging Face cache to one of its blobs."""
    if root.parent.name != "snapshots" or not _COMMIT.fullmatch(root.name):
        return False
    blobs = root.parent.parent / "blobs"
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.parent == blobs.resolve() and bool(_BLOB.fullmatch(target.name)) and target.is_file()
