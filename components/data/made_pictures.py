# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that a collection has in another form and that are written as PNG beside the datalist.

A layout puts under ``made`` of an item a function for each of them, ``{"image": make, "masks": {name: make}}``; it is
called when the item is taken. A function returns bool or uint8 [H, W] or [H, W, 3].
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.lines import hash64

Make = Callable[[], NDArray[Any]]


class MadePicturesError(Exception):
    """A picture could not be made; says which field of the item it is of and how to mend it."""

    def __init__(self, field: str, error: Exception) -> None:
        kind = "image" if field == "image" else "mask"
        missing = isinstance(error, FileNotFoundError)
        self.field = field
        self.code = f"missing_{kind}" if missing else f"unreadable_{kind}"
        self.fix = "Get the file." if missing else "Get the file or the row anew from the publisher."
        super().__init__(f"{error.filename!r} does not exist" if missing else str(error))  # type: ignore[attr-defined]


def place_pictures(item: dict[str, Any], layout: str) -> dict[str, tuple[str, Make]]:
    """Give the pictures that an item asks for their paths, in the item too.

    Args:
        item: its ``made`` is taken out; ``image`` and ``masks`` get the paths.
        layout: name of the layout, a folder of its own under ``images`` and ``masks``.

    Returns:
        Field and function of each path, relative to the folder of the datalist.
    """
    made: Mapping[str, Any] = item.pop("made", {})
    placed: dict[str, tuple[str, Make]] = {}
    if "image" in made:
        item["image"] = f"images/{layout}/{_slug(str(item['id']))}.png"
        placed[item["image"]] = ("image", made["image"])
    for name, make in made.get("masks", {}).items():
        path = f"masks/{layout}/{_slug(str(item['id']))}.{_slug(name)}.png"
        item.setdefault("masks", {})[name] = path
        placed[path] = (f"masks.{name}", make)
    return placed


def write_pictures(placed: Mapping[str, tuple[str, Make]], folder: Path) -> None:
    """Make the pictures of an item and write them, each whole or not at all.

    Raises:
        MadePicturesError: one cannot be made; nothing has been written then.
        OSError: the folder cannot be written to.
    """
    from PIL import Image

    pictures: dict[str, NDArray[Any]] = {}
    for path, (field, make) in placed.items():
        try:
            pictures[path] = make()
        except (OSError, ValueError) as error:
            raise MadePicturesError(field, error) from None
    for path, picture in pictures.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            pixels = picture.astype(np.uint8) * 255 if picture.dtype == np.bool_ else picture
            # The lightest compression: photographs gain little by more, and masks are small anyway.
            Image.fromarray(pixels).save(part, format="PNG", compress_level=1)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)


def _slug(name: str) -> str:
    """A name that any file system takes; names that would become the same get a digest."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")
    return slug if slug == name else f"{slug}-{hash64(name) & 0xFFFFFFFF:08x}"
