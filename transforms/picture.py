# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Read a PNG or JPEG picture as floating gray or color, upright."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from radbundles.transforms.read_error import RadiographReadError

__all__ = ["is_colored", "open_picture", "read_picture"]


def open_picture(content: bytes, name: str) -> Image.Image:
    """Decode a PNG or JPEG file and turn it upright by its EXIF orientation.

    Raises:
        RadiographReadError: when the file is truncated, damaged or too large.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        frames = getattr(image, "n_frames", 1)
        upright = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise RadiographReadError(f"{name}: {error}. Reduce the picture, or raise PIL.Image.MAX_IMAGE_PIXELS") from None
    except UnidentifiedImageError:
        raise RadiographReadError(f"{name}: the header of the picture is damaged. Get the file again") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow's decoders raise all of these
        raise RadiographReadError(f"{name}: truncated or damaged picture ({error}). Get the file again") from None
    if frames > 1:
        raise RadiographReadError(f"{name}: animated picture of {frames} frames. Save the one that counts")
    return upright


def read_picture(content: bytes, name: str, *, color: str = "gray") -> tuple[np.ndarray, dict[str, Any]]:
    """Read a picture of 1 to 16 bits, gray or color, with or without palette and alpha.

    8 bits are divided by 255 and 16 bits by 65535. A transparent picture lies on black. Color becomes gray by its luma
    (ITU-R BT.601). Pillow reads 16-bit color and 16-bit gray with alpha as 8 bits.

    Args:
        content: the bytes of the file.
        name: what errors call the file.
        color: ``"gray"`` or ``"rgb"``.

    Returns:
        float32 array in [0, 1], (rows, columns) or, for color ``"rgb"``, (rows, columns, 3); and a dict with
        ``photometric``, and ``colored`` where the picture is more than a gray one stored in color.

    Raises:
        RadiographReadError: naming file, reason and mend.
    """
    image = open_picture(content, name)
    meta: dict[str, Any] = {"photometric": "MONOCHROME2"}
    if "RGB" in image.mode or image.mode in ("P", "CMYK", "YCbCr"):
        few = image.resize((min(128, image.width), min(128, image.height)), Image.Resampling.NEAREST)
        meta = {"photometric": "RGB"} | ({"colored": True} if is_colored(np.asarray(few.convert("RGB")) / 255) else {})
    if image.mode.startswith("I"):
        values = np.divide(np.asarray(image), np.float32(65535), dtype=np.float32)
        return (np.repeat(values[..., None], 3, axis=-1) if color == "rgb" else values), meta
    if image.mode in ("LA", "PA", "RGBA") or (image.mode == "P" and "transparency" in image.info):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    image = image.convert("RGB" if color == "rgb" else "L")
    return np.divide(np.asarray(image), np.float32(255), dtype=np.float32), meta


def is_colored(image: np.ndarray) -> bool:
    """Tell whether more than a hundredth of an image (rows, columns, 3) in [0, 1] is clearly not gray."""
    step = max(1, min(image.shape[:2]) // 128)
    few = image[::step, ::step]
    return bool((np.ptp(few, axis=-1) > 0.1).mean() > 0.01)
