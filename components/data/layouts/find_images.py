# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the images of a collection lie, by file name: archives unpack to more folders than their tables name."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

IMAGES = (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Suffixes of images, the one to be preferred first."""
_MASK_FOLDERS = frozenset({"mask", "masks", "train_mask", "train_masks", "test_mask", "test_masks"})


def find_images(
    folder: Path, *, suffixes: Sequence[str] = IMAGES, last: Collection[str] = (), skip: Collection[str] = _MASK_FOLDERS
) -> dict[str, str]:
    """Find images in a folder and all folders below.

    Args:
        folder: the folder.
        suffixes: of the files, the one to be preferred first.
        last: names of folders whose images are taken only if there is none of that name elsewhere.
        skip: names of folders that are not looked into.

    Returns:
        Path relative to ``folder`` of each file name without suffix. Of several files of one name that with the
        suffix to be preferred counts, then the first in the order of paths.
    """
    order = {suffix: place for place, suffix in enumerate(suffixes)}
    found: dict[str, tuple[int, int, str]] = {}
    root = os.fspath(folder)
    visited: set[str] = set()
    for where, folders, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(where)) in visited:  # links may lead round in circles
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if name.lower() not in skip and not name.startswith("."))
        inside = os.path.relpath(where, root)
        late = int(bool(set(Path(inside).parts) & set(last)))
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in order:
                path = file if inside == "." else Path(inside, file).as_posix()
                candidate = (late, order[suffix.lower()], path)
                if stem not in found or candidate[:2] < found[stem][:2]:
                    found[stem] = candidate
    return {stem: path for stem, (_, _, path) in found.items()}


def find_file(folder: Path, *names: str, get: str) -> Path:
    """The first of several files that is somewhere in a folder, the shallowest first.

    Args:
        folder: the folder.
        names: file names.
        get: where to get it, for the message.

    Raises:
        FileNotFoundError: there is none of them.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    for name in names:
        places = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
        if places:
            return places[0]
    raise FileNotFoundError(f"{folder} has no {' or '.join(names)}; {get}")
