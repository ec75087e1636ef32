# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where an entity list of the package lies, for configs and transforms that read it by path."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "entities"


def entity_file(name: str) -> str:
    """Return the path of an entity list that comes with the package, or of a list of the user's own.

    Args:
        name: "chest", "fundus", or the path of a JSON file in the same format.

    Raises:
        FileNotFoundError: if it is neither.
    """
    for path in (_FOLDER / f"{name}.json", Path(name)):
        if path.is_file():
            return str(path)
    known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.json")))
    raise FileNotFoundError(f"{name!r} is neither an entity list of the package ({known}) nor a JSON file")
