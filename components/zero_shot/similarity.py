# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cosine of each cell of an image with each text, smoothed."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F


def cosine_maps(cells: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Compare every cell with every text.

    Source: DCXFM, phrase grounding. Deviation: the official code leaves the text as long as it is, so that its values
    mean something only after each map is stretched to its own extremes; here the value is a cosine.

    Args:
        cells: image features [B, D, h, w] of any length.
        texts: [N, D], each of length 1, or the mean of several such, which gives the mean of their maps.

    Returns:
        Maps [B, N, h, w] in [-1, 1], float32.

    Raises:
        ValueError: if the shapes do not fit.
    """
    _check(cells, texts)
    with torch.autocast(cells.device.type, enabled=False):
        return torch.einsum("bdhw,nd->bnhw", F.normalize(cells.float(), dim=1), texts.float())


def share_maps(cells: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Share of every cell in the similarity of the whole image with every text.

    The embedding of an image is the mean of its cells, so its cosine with a text is the mean of such shares: a cell
    counts by its length too. Own addition to DCXFM: where an encoder was trained from random weights on little data,
    cells without content are short vectors of any direction, and a cosine makes them as loud as the others.

    Args:
        cells: image features [B, D, h, w] of any length.
        texts: [N, D], each of length 1, or the mean of several such.

    Returns:
        Maps [B, N, h, w], float32, whose mean is the similarity of the image; no bounds.

    Raises:
        ValueError: if the shapes do not fit.
    """
    _check(cells, texts)
    with torch.autocast(cells.device.type, enabled=False):
        whole = cells.float().mean(dim=(2, 3)).norm(dim=1).clamp_min(1e-12)
        return torch.einsum("bdhw,nd->bnhw", cells.float() / whole[:, None, None, None], texts.float())


def _check(cells: torch.Tensor, texts: torch.Tensor) -> None:
    if cells.ndim != 4 or texts.ndim != 2 or cells.shape[1] != texts.shape[1]:
        raise ValueError(
            f"cells must be [B, D, h, w] and texts [N, D], got {tuple(cells.shape)} and {tuple(texts.shape)}"
        )


def pool_cells(cells: torch.Tensor) -> torch.Tensor:
    """Embed whole images: the mean of the cells [B, D, h, w], scaled to length 1, [B, D] float32."""
    return F.normalize(cells.float().mean(dim=(2, 3)), dim=1)


def smooth_maps(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth maps with a Gaussian as ``scipy.ndimage.gaussian_filter`` does: ``reflect`` border, cut at 4 sigma.

    Both passes are products with a small matrix that holds the border rule, so that all maps are done at once on any
    device.

    Args:
        maps: [..., h, w].
        sigma: standard deviation in cells; 0 returns the maps as they are.

    Returns:
        [..., h, w] float32.

    Raises:
        ValueError: if sigma is negative.
    """
    if sigma < 0:
        raise ValueError(f"sigma must be 0 or more, got {sigma}")
    if sigma == 0:
        return maps.float()
    down = smoothing_matrix(maps.shape[-2], sigma).to(maps.device)
    across = smoothing_matrix(maps.shape[-1], sigma).to(maps.device)
    with torch.autocast(maps.device.type, enabled=False):
        return down @ maps.float() @ across.T


@lru_cache(maxsize=32)
def smoothing_matrix(length: int, sigma: float, truncate: float = 4.0) -> torch.Tensor:
    """Weight [length, length] of each cell in each smoothed cell; cells beyond the border are those mirrored in it.

    With a standard deviation of 0 every cell keeps its value.
    """
    if sigma == 0:
        return torch.eye(length)
    # The cache must not hold an inference tensor, whoever asks first.
    with torch.inference_mode(False):
        radius = int(truncate * sigma + 0.5)
        offsets = torch.arange(-radius, radius + 1)
        weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
        weights /= weights.sum()
        places = (torch.arange(length)[:, None] + offsets) % (2 * length)
        mirrored = torch.minimum(places, 2 * length - 1 - places)
        matrix = torch.zeros(length, length, dtype=torch.float64)
        return matrix.scatter_add_(1, mirrored, weights.expand(length, -1).contiguous()).float()
