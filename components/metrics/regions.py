# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels of an image a loss looks at, and how normalized pixels are brought back to the display range."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import convert_to_tensor

__all__ = ["MEAN", "STD", "to_display", "under_mask", "under_window"]

# Mean and standard deviation of the pre-training images, one value for all channels.
MEAN, STD = 0.4721, 0.3037


def to_display(
    image: torch.Tensor, *, mean: float | Sequence[float] = MEAN, std: float | Sequence[float] = STD
) -> torch.Tensor:
    """Undo the normalization and clamp to [0, 1], the range that a viewer shows.

    Args:
        image: [B, C, H, W], normalized as ``(x - mean) / std``; any floating type, a MetaTensor too.
        mean: what was subtracted, one value or one per channel.
        std: what was divided by, one value or one per channel.

    Returns:
        float32 tensor [B, C, H, W] without meta data.
    """
    image = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    shift, scale = (torch.as_tensor(value, dtype=torch.float32, device=image.device) for value in (mean, std))
    return (image * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)).clamp(0, 1)


def under_mask(mask: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels of the removed patches.

    Args:
        mask: [B, N], 1 where a patch of the square grid was removed, row-major.
        size: side of the image in pixels, a multiple of the side of the grid.

    Returns:
        bool tensor [B, 1, size, size].

    Raises:
        ValueError: N is no square, or the grid does not divide the image.
    """
    side = round(mask.shape[-1] ** 0.5)
    if side**2 != mask.shape[-1] or size % side:
        raise ValueError(f"a mask of {mask.shape[-1]} patches does not tile an image of {size} x {size} pixels")
    cells = mask.bool().reshape(-1, 1, side, side)
    return cells.repeat_interleave(size // side, dim=-2).repeat_interleave(size // side, dim=-1)


def under_window(window: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels whose center lies inside the context window.

    Args:
        window: [B, 4], fractions (y0, x0, y1, x1) of the image.
        size: side of the image in pixels.

    Returns:
        bool tensor [B, 1, size, size].
    """
    window = convert_to_tensor(window, dtype=torch.float32, track_meta=False)
    centers = (torch.arange(size, device=window.device) + 0.5) / size
    y0, x0, y1, x1 = window[:, :, None].unbind(1)  # [B, 1] each
    rows = (y0 <= centers) & (centers < y1)  # [B, size]
    columns = (x0 <= centers) & (centers < x1)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
