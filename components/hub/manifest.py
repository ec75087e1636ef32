# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The list of a bundle's files with their checksums, which travels with the bundle."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import radbundles
from radbundles.components.hub.bundles import read_bundle
from radbundles.components.hub.packed_folder import write_json
from radbundles.components.hub.printable import printable

MANIFEST = "manifest.json"

# What the Hub, its client and git put beside the files of a bundle.
_OF_THE_HUB = frozenset({MANIFEST, ".gitattributes"})
_FOLDERS_OF_THE_HUB = frozenset({".cache", ".git"})
_CHUNK = 1 << 20
_MOST_BYTES = 16 << 20  # of a manifest: some 100,000 files


def write_manifest(folder: str | os.PathLike[str], *, name: str | None = None) -> Path:
    """Write ``manifest.json`` at the root of a bundle: name, versions, and checksum and bytes of every file.

    ``.gitattributes``, ``.git`` and ``.cache`` at the root belong to the Hub and are left out.

    Args:
        folder: the bundle, complete; an older manifest is replaced.
        name: of the bundle; by default the folder's.

    Raises:
        ValueError: if ``configs/metadata.json`` cannot be read or names no version, or the folder holds a link.
    """
    root = Path(folder)
    bundle = read_bundle(root, str(root))
    if bundle.fault:
        raise ValueError(bundle.fault)
    if not isinstance(bundle.version, str):
        raise ValueError(f"{root / 'configs' / 'metadata.json'}: `version` is missing; a manifest is of one version")
    files = {}
    for path in _files(root):
        file = root / path
        if file.is_symlink() or not file.is_file():
            raise ValueError(f"{path} in {root} is a link or no plain file: put a copy of the file there")
        files[path] = {"sha256": sha256(file), "bytes": file.stat().st_size}
    content = {
        "bundle": name or root.resolve().name,
        "version": bundle.version,
        "radbundles": radbundles.__version__,
        "files": files,
    }
    write_json(root / MANIFEST, content)
    return root / MANIFEST


def check_manifest(folder: str | os.PathLike[str]) -> list[str]:
    """Compare the files of a bundle with its manifest, and its version with that of its metadata.

    Returns:
        Faults in words, each with the file: missing, changed, not listed, or listed by a path that leaves the bundle.
        A manifest that is missing or cannot be read is one too.
    """
    root = Path(folder)
    try:
        version, listed = _read(root / MANIFEST)
    except ValueError as error:
        return [str(error)]
    faults = []
    found = set(_files(root))
    for path, entry in listed.items():
        if _climbs(path):
            faults.append(f"{MANIFEST} lists {path!r}, which is no relative path inside the bundle")
        elif path not in found:
            faults.append(f"{printable(path)} is missing: download the bundle again")
        elif fault := _compare(root / path, entry):
            faults.append(f"{printable(path)} {fault}: it is damaged or was edited; download the bundle again")
    faults += [f"{printable(path)} is not listed in {MANIFEST}: remove it" for path in sorted(found - set(listed))]
    bundle = read_bundle(root, str(root))
    if bundle.fault is None and bundle.version != version:
        faults.append(f"{MANIFEST} is of version {version!r}, but configs/metadata.json of {bundle.version!r}")
    return faults


def sha256(path: Path) -> str:
    """Checksum of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    """Version and files of a manifest."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        version, files = content["version"], content["files"]
        if not isinstance(files, dict):
            raise TypeError(f"`files` is a {type(files).__name__}, not an object")
    except FileNotFoundError:
        raise ValueError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{MANIFEST} is no manifest with `version` and `files` ({error}): download the bundle again"
        ) from error
    return version, files


def _files(root: Path) -> Iterator[str]:
    """Paths of all files of a bundle by name, with slashes; links to folders are not followed."""
    for parent, folders, names in os.walk(root):
        top = Path(parent) == root
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = sorted(name for name in folders if not (top and name in _FOLDERS_OF_THE_HUB))
        for name in sorted([*names, *links]):
            if not (top and name in _OF_THE_HUB):
                yield Path(parent, name).relative_to(root).as_posix()


def _climbs(path: str) -> bool:
    """Whether a path is anything but names of folders and a file in one another."""
    pure = PurePosixPath(path)
    return pure.is_absolute() or ".." in pure.parts or str(pure) != path or "\\" in path or ":" in path


def _compare(file: Path, entry: Any) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return f"has no `sha256` in {MANIFEST}"
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return "is a link or no plain file"
        size = file.stat().st_size
        if size != entry.get("bytes"):
            return f"has {size} bytes, not {printable(entry.get('bytes'))}"
        digest = sha256(file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if digest == entry["sha256"].lower() else f"has the sha256 {digest}, not {printable(entry['sha256'])}"
