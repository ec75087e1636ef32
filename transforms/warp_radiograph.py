# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Show a part of a radiograph, shifted, rotated and resized, in one interpolation; and bring maps of it back.

A part is told by a matrix [2, 3] that takes a place in the result (x, y, 1), as fractions 0 to 1 of its sides, to
(x, y) in pixels of the source, measured from its upper left corner.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor

__all__ = ["crops_to_original", "reach", "warp"]


def reach(matrix: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of an image that :func:`warp` reads for a matrix; empty where it misses the image."""
    corners = matrix @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    first = np.clip(np.floor(corners.min(axis=1)) - 1, 0, (width, height)).astype(int)
    end = np.clip(np.ceil(corners.max(axis=1)) + 1, 0, (width, height)).astype(int)
    return slice(first[1], end[1]), slice(first[0], end[0])


def warp(image: torch.Tensor, matrix: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Resample a part of an image, bilinear between its pixels and zero outside of it.

    Where a pixel of the result covers more than one of the image, it is the mean of as many samples.

    Args:
        image: [C, H, W].
        matrix: [2, 3], see above.
        size: (height, width) of the result.

    Returns:
        [C, height, width].
    """
    if 0 in image.shape:
        return image.new_zeros(image.shape[0], *size)
    across, down = (max(1, math.ceil(np.hypot(*matrix[:, axis]) / size[1 - axis] - 1e-6)) for axis in (0, 1))
    height, width = size[0] * down, size[1] * across
    # Affine_grid makes the same grid by a product of matrices, which takes as long as sampling it.
    to_unit = np.array([2 / image.shape[2], 2 / image.shape[1]])[:, None]
    weights = torch.from_numpy(matrix * to_unit).to(image)
    x = (torch.arange(width).to(image) + 0.5) / width
    y = (torch.arange(height).to(image)[:, None] + 0.5) / height
    grid = torch.empty(1, height, width, 2, dtype=image.dtype)
    for axis, (by_x, by_y, start) in enumerate(weights):
        torch.add(x * by_x, y * by_y + (start - 1), out=grid[0, :, :, axis])
    samples = F.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    for axis, count in ((1, down), (2, across)):
        if count > 1:  # sums of slices, faster than pooling
            samples = samples.unflatten(axis, (-1, count))
            samples = sum(samples.unbind(axis + 1)) / count
    return samples


def crops_to_original(maps: torch.Tensor, crops: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring maps over crops to the pixels of the original image.

    Args:
        maps: [N, h, w] of any grid, one for each crop.
        crops: [N, 2, 3], the matrices of :class:`~radbundles.transforms.MultiCropRadiographd`.
        size: (height, width) of the original image.

    Returns:
        [N, height, width], bilinear between the centers of cells; 0 outside of a crop.
    """
    plain = maps.as_tensor() if isinstance(maps, MetaTensor) else maps
    height, width = size
    square = torch.eye(3, dtype=torch.float64).repeat(len(crops), 1, 1)
    square[:, :2] = crops
    pixels = torch.tensor([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]], dtype=torch.float64)
    fractions = torch.linalg.solve(square, pixels.expand(len(crops), 3, 3))[:, :2]
    fractions[:, :, 2] -= 0.5
    grid = F.affine_grid((2 * fractions).to(plain), [len(crops), 1, height, width], align_corners=False)
    values = F.grid_sample(plain[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]
    return values * (grid.abs() <= 1).all(dim=-1)
