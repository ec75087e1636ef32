# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which structures or objects a datalist has masks or boxes of."""

from __future__ import annotations

import os

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.section import Item

KINDS = ("masks", "boxes")


def annotated_classes(path: str | os.PathLike[str], kind: str) -> list[str]:
    """Names of the masks or boxes in the training section, in alphabetical order.

    Args:
        path: JSON or JSON Lines datalist, which is read once.
        kind: ``masks`` or ``boxes``. A class whose lists of boxes are all empty is not among them: there is nothing to
            learn it from.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: another kind, or no item for training has any.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    found: set[str] = set()
    for _, split, item in iter_datalist(path):
        if split == "training":
            found.update(_names(item, kind))
    if not found:
        raise ValueError(
            f"no item of the training section of {path} has {kind}. Give the table's column of them when the datalist "
            f"is built (radbundles data build csv ... --map {kind.removesuffix('es' if kind == 'boxes' else 's')}"
            ".NAME=COLUMN)"
        )
    return sorted(found)


def _names(item: Item, kind: str) -> list[str]:
    return [name for name, value in item.get(kind, {}).items() if value]
