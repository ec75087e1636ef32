# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays as PNG data, small enough to live inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

__all__ = ["png_data_uri", "to_pixels"]


def to_pixels(array: ArrayLike) -> np.ndarray:
    """Check an image and bring it to 8 bits.

    Args:
        array: [H, W] gray or [H, W, 3] RGB, in [0, 1]; what lies outside is clipped, nan is black.

    Returns:
        uint8 array [H, W], or [H, W, 3] if the channels differ.

    Raises:
        ValueError: another shape.
    """
    values = np.asarray(array, dtype=np.float32)
    if values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,)) or 0 in values.shape:
        raise ValueError(f"an image is [H, W] or [H, W, 3], got an array of shape {values.shape}")
    pixels = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
    is_gray = pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0] if is_gray else pixels


def png_data_uri(array: ArrayLike, max_side: int = 384) -> tuple[str, int, int]:
    """Encode an image as a ``data:`` address.

    Args:
        array: what :func:`to_pixels` takes.
        max_side: longest side in pixels; a larger image is scaled down, a smaller one stays.

    Returns:
        The address, the width and the height.
    """
    image = Image.fromarray(to_pixels(array))
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii"), image.width, image.height
