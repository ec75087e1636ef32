# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The context window of ECAMP: where it lies in an image, and where it comes to lie when the image is cropped."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["crop_fractions", "window_fractions"]

_CENTERED = (1, 1)  # of an item that has no window: the one in the middle of the nine


def window_fractions(
    window: Sequence[int] | torch.Tensor | None, *, grid: int = 14, window_cells: int = 12
) -> tuple[float, float, float, float]:
    """Turn the top-left cell of a context window into fractions of the whole image.

    Source: ECAMP section 3.4 and the loss of the official code, which weighs rows 32 i to 32 (i + 12) of 448.

    Args:
        window: row and column of the top-left cell, each 0 to ``grid - window_cells``; None is (1, 1).
        grid: cells along each side of the image.
        window_cells: cells along each side of the window.

    Returns:
        (y0, x0, y1, x1), each in [0, 1].

    Raises:
        ValueError: when the window is not two whole numbers in that range.
    """
    cells = list(_CENTERED if window is None else window)
    last = grid - window_cells
    if len(cells) != 2 or not all(int(cell) == cell and 0 <= cell <= last for cell in cells):
        raise ValueError(f"window must be [row, column] of whole numbers 0 to {last}, got {cells}")
    row, column = (int(cell) for cell in cells)
    return row / grid, column / grid, (row + window_cells) / grid, (column + window_cells) / grid


def crop_fractions(
    fractions: tuple[float, float, float, float], crop: tuple[float, float, float, float], *, flipped: bool = False
) -> tuple[float, float, float, float]:
    """Move a box with the image when the image is cropped and then, maybe, flipped left to right.

    Args:
        fractions: the box as (y0, x0, y1, x1), fractions of the whole image.
        crop: what remains of the image, likewise.
        flipped: whether the crop is flipped.

    Returns:
        The part of the box that remains, as fractions of the crop; the full crop (0, 0, 1, 1) if none does, so that
        a loss over the window never becomes empty.
    """
    height, width = crop[2] - crop[0], crop[3] - crop[1]
    y0, y1 = (min(max((y - crop[0]) / height, 0.0), 1.0) for y in fractions[0::2])
    x0, x1 = (min(max((x - crop[1]) / width, 0.0), 1.0) for x in fractions[1::2])
    if y0 >= y1 or x0 >= x1:
        return 0.0, 0.0, 1.0, 1.0
    return (y0, 1.0 - x1, y1, 1.0 - x0) if flipped else (y0, x0, y1, x1)
