# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A map of weights laid over an image."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from monai.visualize import blend_images
from numpy.typing import ArrayLike
from PIL import Image

__all__ = ["COLOR_MAP", "color_stops", "overlay_heat_map"]

# Perceptually uniform, and colored over its whole range, so that no level looks like a gray of the radiograph.
COLOR_MAP = "plasma"


def overlay_heat_map(
    image: ArrayLike, heat: ArrayLike, *, alpha: float = 0.6, maximum: float | None = None
) -> np.ndarray:
    """Blend a map of weights over an image with ``monai.visualize.blend_images``.

    The map covers the whole image and is stretched to its size bilinearly. Its opacity grows with the weight and is
    full from half of the maximum on: what got no weight stays a plain radiograph.

    Args:
        image: [H, W] gray or [H, W, 3] RGB, in [0, 1].
        heat: [h, w] weights, none negative, e.g. attention on the patch grid.
        alpha: opacity of a strong weight, in [0, 1].
        maximum: weight that gets the last color; by default the largest of the map. Give it to compare maps.

    Returns:
        float32 array [H, W, 3] in [0, 1].

    Raises:
        ValueError: wrong shape, negative or non-finite weight, alpha outside [0, 1].
    """
    picture, weights = np.asarray(image, dtype=np.float32), np.asarray(heat, dtype=np.float32)
    if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
        raise ValueError(f"an image is [H, W] or [H, W, 3], got an array of shape {picture.shape}")
    if weights.ndim != 2 or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"a heat map is [h, w] of finite weights >= 0, got an array of shape {weights.shape}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    height, width = picture.shape[:2]
    top = float(weights.max()) if maximum is None else maximum
    level = np.clip(weights / top, 0, 1) if top > 0 else np.zeros_like(weights)
    level = np.asarray(Image.fromarray(level).resize((width, height), Image.Resampling.BILINEAR))[None]  # [1, H, W]
    channels = np.moveaxis(np.atleast_3d(picture).clip(0, 1), 2, 0)  # [1 or 3, H, W]
    blended = blend_images(
        channels,
        level,
        alpha=alpha * np.clip(2 * level, 0, 1),
        cmap=COLOR_MAP,
        rescale_arrays=False,
        transparent_background=False,
    )
    return np.moveaxis(np.asarray(blended, dtype=np.float32), 0, 2)


def color_stops(count: int = 9) -> list[str]:
    """Colors of the map from weight zero to the maximum, for a legend."""
    colors = matplotlib.colormaps[COLOR_MAP](np.linspace(0, 1, count))
    return [to_hex(color) for color in colors]
