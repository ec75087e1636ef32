# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Two-dimensional sine-cosine position tables of vision transformers."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

PositionFormula = Literal["mae", "official"]


def sincos_position_table(
    dim: int, grid: tuple[int, int], *, formula: PositionFormula = "mae", class_token: bool = True
) -> torch.Tensor:
    """Build the fixed position table of MAE for a grid of patches.

    Each cell holds ``[sin(x w), cos(x w), sin(y w), cos(y w)]`` with x the column, y the row and dim / 4
    frequencies w; the class token, if any, comes first and is zero.

    Sources: He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022. The ECAMP code changes the
    frequencies by a slip of operator precedence (quirk Q18): ``formula="official"`` reproduces it.

    Args:
        dim: width of the table, a multiple of 4.
        grid: number of (rows, columns).
        formula: "mae" for frequencies ``10000 ** -(k / (dim / 4))``, "official" for ``10000 ** -(k / dim)``, with
            k = 0 ... dim / 4 - 1.
        class_token: put a zero row in front.

    Returns:
        Table [1, rows * columns (+ 1), dim], float32.

    Raises:
        ValueError: if dim is not a multiple of 4 or the formula is unknown.
    """
    if dim % 4:
        raise ValueError(f"dim must be a multiple of 4 for a sine-cosine position table, got {dim}")
    if formula not in ("mae", "official"):
        raise ValueError(f'formula must be "mae" or "official", got {formula!r}')
    steps = torch.arange(dim // 4, dtype=torch.float64)
    frequencies = 10000.0 ** -(steps / (dim / 4 if formula == "mae" else dim))
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    x_angle, y_angle = (axis.reshape(-1, 1) * frequencies for axis in (x, y))  # -> [cells, dim / 4] each
    table = torch.cat([x_angle.sin(), x_angle.cos(), y_angle.sin(), y_angle.cos()], dim=1).float()
    if class_token:
        table = F.pad(table, (0, 0, 1, 0))
    return table.unsqueeze(0)


def resize_position_table(table: torch.Tensor, grid: tuple[int, int], *, prefix_tokens: int = 1) -> torch.Tensor:
    """Interpolate a position table (fixed or learned) of a square grid to another grid.

    Args:
        table: [1, prefix_tokens + n * n, dim].
        grid: wanted (rows, columns).
        prefix_tokens: leading rows that belong to no cell and are kept as they are.

    Returns:
        Table [1, prefix_tokens + rows * columns, dim]; the same tensor where the grid is already right.

    Raises:
        ValueError: if the table does not belong to a square grid.
    """
    prefix, cells = table[:, :prefix_tokens], table[:, prefix_tokens:]
    side = round(cells.shape[1] ** 0.5)
    if side * side != cells.shape[1]:
        raise ValueError(f"the table has {cells.shape[1]} cells after {prefix_tokens} prefix tokens: not a square grid")
    if grid == (side, side):
        return table
    maps = cells.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps.float(), size=grid, mode="bicubic", align_corners=False).to(table.dtype)
    return torch.cat([prefix, maps.flatten(2).transpose(1, 2)], dim=1)
