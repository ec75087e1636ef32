# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Images and masks of collections in forms that are not read in training, above all TIFF."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_READ_AS_THEY_ARE = (".png", ".jpg", ".jpeg", ".dcm")


def image_fields(source: Path, path: str) -> dict[str, Any]:
    """``image`` of an item; a file in another form is to be written as PNG."""
    if Path(path).suffix.lower() in _READ_AS_THEY_ARE:
        return {"image": path}
    return {"made": {"image": partial(read_picture, source / path)}}


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit picture as uint8 [H, W] if it is gray, else [H, W, 3].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a picture, is damaged, or has more than 8 bits.
    """
    with _open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"{str(path)!r} has more than 8 bits a channel")
        return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"), np.uint8)


def read_inside(path: Path) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True where it is neither black nor transparent.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a picture, or is damaged.
    """
    with _open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            return np.asarray(picture) != 0
        pixels = np.asarray(picture.convert("RGBA"))
    return (pixels[..., :3] != 0).any(axis=-1) & (pixels[..., 3] != 0)


def read_levels(path: Path) -> NDArray[np.uint8]:
    """Read a mask of several gray levels as uint8 [H, W].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a picture, or is damaged.
    """
    with _open(path) as picture:
        return np.asarray(picture.convert("L"), np.uint8)


def _open(path: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd tags of TIFF say nothing of the pixels
            picture = Image.open(path)
            picture.load()
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as a picture: {error}") from None
    return picture
