# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the entities of a report lie in its image, by cross-attention: as maps and as context windows."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

WINDOW_CELLS = 12


class EntityHeatMap(NamedTuple):
    """Attention of the entities of a report, scaled to [0, 1].

    Attributes:
        grid: one value per patch, [B, rows, columns].
        image: the same, bilinear at the size of the image, [B, H, W].
    """

    grid: torch.Tensor
    image: torch.Tensor


def entity_attention(attention: torch.Tensor, entity: torch.Tensor) -> torch.Tensor:
    """Average the attention rows of the entity tokens over heads and tokens.

    Args:
        attention: result of ``ECAMP.cross_attention``, [B, heads, L, rows, columns].
        entity: True at the tokens of entities, [B, L] bool.

    Returns:
        Maps [B, rows, columns] that sum to 1; zero for a report without an entity.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if attention.ndim != 5 or entity.shape != (attention.shape[0], attention.shape[2]):
        raise ValueError(
            "attention must be [B, heads, L, rows, columns] and entity [B, L], got "
            f"{tuple(attention.shape)} and {tuple(entity.shape)}"
        )
    weight = entity.float() / entity.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("bhlyx,bl->byx", attention.float(), weight) / attention.shape[1]


def context_windows(
    attention: torch.Tensor, entity: torch.Tensor, *, cells: int = WINDOW_CELLS, grid: int | None = None
) -> torch.Tensor:
    """Place the context window of each image where the entities of its report get most attention.

    Source: the ECAMP code reads the windows from a file whose maker is not published; this is the recipe that fits
    it: of the places of a square window on the patch grid (3 x 3 for 12 of 14 cells) the one with the largest sum of
    :func:`entity_attention`, the middle one where a report has no entity.

    Args:
        attention: un-shuffled, as ``ECAMP.cross_attention`` gives it, [B, heads, L, rows, columns].
        entity: True at the tokens of entities, [B, L] bool.
        cells: side of the window in cells.
        grid: cells along each side of the image that windows are counted in; the attention of a network with other
            patches is spread over them by area. None counts in the network's patches.

    Returns:
        (row, column) of the top-left cell, [B, 2] int64.

    Raises:
        ValueError: if the shapes do not fit or the window is larger than the grid.
    """
    maps = entity_attention(attention, entity)
    if grid is not None and maps.shape[1:] != (grid, grid):
        maps = _shares(maps.shape[1], grid).to(maps) @ maps @ _shares(maps.shape[2], grid).to(maps).T
    rows, columns = maps.shape[1:]
    if not 1 <= cells <= min(rows, columns):
        raise ValueError(f"a window of {cells} cells does not fit a grid of {rows} x {columns}")
    means = F.avg_pool2d(maps[:, None], cells, stride=1)[:, 0]  # -> [B, places down, places across]
    best = means.flatten(1).argmax(dim=1)
    places = torch.stack([best // means.shape[2], best % means.shape[2]], dim=1)
    middle = places.new_tensor([(rows - cells) // 2, (columns - cells) // 2])
    return torch.where(entity.any(dim=1, keepdim=True), places, middle)


def _shares(source: int, target: int) -> torch.Tensor:
    """Share of each of ``source`` equal parts of a line that lies in each of ``target`` ones, [target, source]."""
    ours, theirs = torch.arange(target)[:, None] * source, torch.arange(source) * target  # left edges, whole numbers
    overlap = torch.minimum(ours + source, theirs + target) - torch.maximum(ours, theirs)
    return overlap.clamp(min=0) / target


def entity_heat_map(attention: torch.Tensor, entity: torch.Tensor, size: tuple[int, int]) -> EntityHeatMap:
    """Show where a network looks for the entities of a report, in grid order (the official maps are shuffled, Q27).

    Args:
        attention: result of ``ECAMP.cross_attention``, [B, heads, L, rows, columns].
        entity: True at the tokens of entities, or of any words of interest, [B, L] bool.
        size: height and width of the image.

    Returns:
        Maps whose least and greatest patch are 0 and 1; all zero for a report without an entity.
    """
    maps = entity_attention(attention, entity)
    least, greatest = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    grid = (maps - least) / (greatest - least).clamp(min=torch.finfo(maps.dtype).tiny)
    image = F.interpolate(grid[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return EntityHeatMap(grid=grid, image=image)
