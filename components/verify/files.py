# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V1: which files a bundle has, and which it must not have."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.hub.bundle_config import ConfigFileError, read_config
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.license_text import check_license
from radbundles.components.verify.logging_conf import check_logging_conf
from radbundles.components.verify.texts import check_texts

_REQUIRED = {
    "LICENSE": "copy the text of the Apache License 2.0 or of MIT there",
    "configs/metadata.json": "write it after components/hub/metadata.schema.json",
    "docs/README.md": "write the model card with `radbundles card`",
    "docs/data_license.txt": "name the data sets and their terms there",
}
_INFERENCE = tuple(f"configs/inference.{suffix}" for suffix in ("json", "yaml", "yml"))
_CODE = frozenset(
    ".py .pyc .pyd .pyi .pyx .pth .ipynb .so .dll .dylib .exe .sh .bat .cmd .ps1".split()  # of Python and of shells
)
_LARGE = 2**20
LARGE_FILES = "large_files.yml"
MANIFEST = "manifest.json"
# What the Hub's client and git keep beside the files.
_NOT_OURS = frozenset((".git", ".cache"))


def check_files(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files of a bundle."""
    for name, mend in _REQUIRED.items():
        if not (folder / name).is_file():
            yield Finding("V1", name, None, None, "the file is missing", mend)
    if not any((folder / name).is_file() for name in _INFERENCE):
        yield Finding("V1", _INFERENCE[0], None, None, "the file is missing", "write the workflow that users ask")
    yield from check_license(folder)
    yield from _check_large_files(folder)
    listed = _listed(folder)
    for name, path in bundle_files(folder):
        yield from _check_file(folder, name, path, listed)
    if (folder / MANIFEST).is_file():
        from radbundles.components.hub.manifest import check_manifest

        for message in check_manifest(folder):
            yield Finding("V1", MANIFEST, None, None, message, "get the bundle again, or write its manifest anew")
    yield from check_logging_conf(folder)
    yield from check_texts(folder)


def bundle_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of a bundle, links too, by its path within the bundle; links to folders are not followed."""
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and name not in links)
        for name in sorted((*files, *links)):
            path = Path(root, name)
            yield path.relative_to(folder).as_posix(), path


def _check_file(folder: Path, name: str, path: Path, listed: frozenset[str] | None) -> Iterator[Finding]:
    if path.is_symlink():
        target = os.path.realpath(path)
        if os.path.commonpath((target, os.path.realpath(folder))) != os.path.realpath(folder):
            yield Finding(
                "V1", name, None, os.readlink(path), "a link leads out of the bundle", "put the file itself there"
            )
        elif not os.path.exists(target):
            yield Finding("V1", name, None, os.readlink(path), "a link leads nowhere", "put the file itself there")
        return
    status = path.stat()
    if path.suffix.lower() in _CODE or "__pycache__" in path.parts:
        mend = "put it into a package that the bundle requires, and name it by _target_"
        yield Finding("V1", name, None, None, "bundles hold no code", mend)
    elif os.name == "posix" and status.st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        yield Finding("V1", name, None, oct(status.st_mode & 0o777), "the file is executable", "chmod a-x it")
    if status.st_size <= _LARGE:
        return
    if not name.startswith("models/") and name not in (listed or ()):
        mend = f"keep weights in models, and leave results out, or name it in {LARGE_FILES}"
        yield Finding("V1", name, None, f"{status.st_size} bytes", "a file beside models is larger than 1 MiB", mend)
    elif listed is not None and name not in listed:
        mend = f"name it with its sha256 in {MANIFEST} or {LARGE_FILES}"
        yield Finding("V1", name, None, f"{status.st_size} bytes", "nothing vouches for a large file", mend)


def _check_large_files(folder: Path) -> Iterator[Finding]:
    path = folder / LARGE_FILES
    if not path.is_file():
        return
    try:
        entries = read_config(path).content.get("large_files")
    except ConfigFileError as error:
        yield Finding("V1", LARGE_FILES, None, None, str(error), "write it as MONAI's bundle specification says")
        return
    if not isinstance(entries, list):
        yield Finding(
            "V1", LARGE_FILES, "large_files", None, "the list is missing", "name path, url and sha256 of each file"
        )
        return
    for place, entry in enumerate(entries):
        key = f"large_files#{place}"
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("path"), str)
            or not isinstance(entry.get("url"), str)
        ):
            yield Finding("V1", LARGE_FILES, key, None, "path or url is missing", "name both")
        elif entry.get("hash_type") != "sha256" or not re.fullmatch("[0-9a-f]{64}", str(entry.get("hash_val"))):
            mend = "give hash_type sha256 and hash_val, the output of sha256sum"
            yield Finding("V1", LARGE_FILES, key, entry["path"], "a download without a sha256 can be anything", mend)


def _listed(folder: Path) -> frozenset[str] | None:
    """Files that the manifest or the list of downloads names; None if the bundle has neither."""
    names: set[str] = set()
    found = False
    for file, key in ((MANIFEST, "files"), (LARGE_FILES, "large_files")):
        try:
            content = read_config(folder / file).content.get(key)
        except ConfigFileError:
            continue
        found = True
        if isinstance(content, dict):
            names.update(content)
        elif isinstance(content, list):
            names.update(
                entry["path"] for entry in content if isinstance(entry, dict) and isinstance(entry.get("path"), str)
            )
    return frozenset(names) if found else None
