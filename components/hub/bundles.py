# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundles that this machine knows, and where each comes from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import radbundles

SEARCH_PATH = "RADBUNDLES_PATH"
WEIGHTS = ("models/model.safetensors", "models/model.pt")


@dataclass(frozen=True)
class Bundle:
    """One bundle folder: what its metadata file says, without running anything of it.

    Args:
        folder: the bundle's root, which holds ``configs/metadata.json``.
        origin: ``checkout``, ``wheel``, or the folder of the search path or the path on the command line it came by.
        metadata: the content of the metadata file; empty where it could not be read.
        fault: why the metadata file could not be read, or None.
    """

    folder: Path
    origin: str
    metadata: dict[str, Any]
    fault: str | None = None

    @property
    def name(self) -> str:
        """Name of the folder, which is what commands call the bundle by."""
        return self.folder.name

    @property
    def called(self) -> str:
        """What commands call it by: its name, or its path where no search folder holds it."""
        return str(self.folder) if Path(self.origin).expanduser().resolve() == self.folder else self.name

    @property
    def version(self) -> str | None:
        """Version of the bundle."""
        return self.metadata.get("version")

    @property
    def weights(self) -> Path | None:
        """The weights file that is there, safetensors before ``model.pt``."""
        return next((self.folder / name for name in WEIGHTS if (self.folder / name).is_file()), None)

    def summary(self) -> dict[str, str | None]:
        """Return what ``radbundles list`` shows, as plain JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.metadata.get("name"),
            "task": self.metadata.get("task"),
            "description": self.metadata.get("description"),
            "origin": self.origin,
            "folder": str(self.folder),
            "weights": str(self.weights) if self.weights else None,
            "fault": self.fault,
        }


def read_bundle(folder: Path, origin: str) -> Bundle:
    """Read the metadata of the bundle in ``folder``; a file that cannot be read becomes its ``fault``."""
    path = folder / "configs" / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Bundle(folder, origin, {}, f"{path} cannot be read: {error}")
    if not isinstance(metadata, dict):
        return Bundle(folder, origin, {}, f"{path} holds a {type(metadata).__name__}, not an object")
    return Bundle(folder, origin, metadata)


def search_folders() -> list[tuple[Path, str]]:
    """Return the folders of bundles with the origin of each: first those of ``RADBUNDLES_PATH``, then our own.

    Raises:
        NotADirectoryError: an entry of ``RADBUNDLES_PATH`` is no folder.
    """
    folders = []
    for entry in filter(None, os.environ.get(SEARCH_PATH, "").split(os.pathsep)):
        folder = Path(entry).expanduser()
        if not folder.is_dir():
            raise NotADirectoryError(f"{SEARCH_PATH} names {entry!r}, which is not a folder")
        folders.append((folder, entry))
    own = Path(radbundles.__file__).parent / "bundles"
    # A checkout links the folder into the package; a wheel holds a copy of it.
    folders.append((own.resolve(), "checkout") if own.is_symlink() else (own, "wheel"))
    return folders


def find_bundles() -> list[Bundle]:
    """Return every bundle of the search folders by name; of two with one name the first found counts.

    Raises:
        NotADirectoryError: an entry of ``RADBUNDLES_PATH`` is no folder.
    """
    found: dict[str, Bundle] = {}
    for folder, origin in search_folders():
        for metadata in sorted(folder.glob("*/configs/metadata.json")):
            bundle = metadata.parents[1]
            if bundle.name not in found:
                found[bundle.name] = read_bundle(bundle, origin)
    return sorted(found.values(), key=lambda bundle: bundle.name)


def find_bundle(name: str) -> Bundle:
    """Return the bundle called ``name``, which may also be the path of a bundle folder.

    Raises:
        LookupError: there is no such bundle; the message names those there are.
        NotADirectoryError: an entry of ``RADBUNDLES_PATH`` is no folder.
    """
    bundles = {bundle.name: bundle for bundle in find_bundles()}
    if name in bundles:
        return bundles[name]
    folder = Path(name).expanduser()
    if (folder / "configs" / "metadata.json").is_file():
        return read_bundle(folder.resolve(), str(folder))
    known = ", ".join(bundles) or "none"
    raise LookupError(f"no bundle {name!r}: it is neither one of the known bundles ({known}) nor a bundle folder")
