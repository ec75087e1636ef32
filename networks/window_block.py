# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Transformer block that attends within windows of a grid of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.guided_linear import GuidedLinear
from radbundles.networks.transformer_block import MLP


class WindowAttention(nn.Module):
    """Multi-head self-attention within square windows of a grid, which may be shifted.

    Guidance joins the tokens for queries and keys alone: it says what belongs together, not what is there.

    Source: Liu et al., "Swin Transformer", 2021, without its bias of relative positions; CAT-Seg; DCXFM, stage 2.

    A window that is not smaller than the grid's smaller side is cut to that side and not shifted, as in the official
    code. Deviation: a side that is no multiple of the window is filled up with places that nothing attends to; the
    official code knows one grid only, which the window must divide.

    Args:
        dim: width of the tokens.
        heads: number of heads, a divisor of dim.
        window: side of the windows, in cells.
        shift: by how many cells the windows are moved, cyclically; cells that the edge of the grid parts do not
            attend to each other.
        guidance_dim: width of the guidance; 0: none.

    Raises:
        ValueError: if heads does not divide dim, or the shift is not within the window.
    """

    def __init__(self, dim: int, *, heads: int, window: int, shift: int = 0, guidance_dim: int = 0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"the width {dim} is not a multiple of the number of heads {heads}")
        if not 0 <= shift < window:
            raise ValueError(f"the shift must be from 0 to less than the window {window}, got {shift}")
        self.heads = heads
        self.window = window
        self.shift = shift
        self.q = GuidedLinear(dim, guidance_dim, dim)
        self.k = GuidedLinear(dim, guidance_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Attend within the windows of [..., h, w, dim]; guidance [..., h, w, guidance_dim] broadcasts to it."""
        h, w = x.shape[-3:-1]
        window = min(self.window, h, w)
        shift = self.shift if window < min(h, w) else 0
        down, right = -h % window, -w % window
        rows, columns = (h + down) // window, (w + right) // window

        def windows(grid: torch.Tensor) -> torch.Tensor:
            """Grid [..., h, w, channels] -> [..., windows, window x window, channels]."""
            if down or right:
                grid = F.pad(grid, (0, 0, 0, right, 0, down))
            if shift:
                grid = grid.roll((-shift, -shift), (-3, -2))
            grid = grid.unflatten(-2, (columns, window)).unflatten(-4, (rows, window))
            return grid.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)

        def heads(tokens: torch.Tensor) -> torch.Tensor:
            """Tokens [..., windows, n, dim] -> [N, windows, heads, n, dim / heads]."""
            return tokens.flatten(0, -4).unflatten(-1, (self.heads, -1)).transpose(2, 3)

        tokens = windows(x)
        guide = None if guidance is None else windows(guidance)
        query, key, value = heads(self.q(tokens, guide)), heads(self.k(tokens, guide)), heads(self.v(tokens))
        N, W = query.shape[:2]
        if shift or down or right:  # the windows stand among the heads, so that one mask serves the whole batch
            mask = _same_region(h, w, window, shift, x.device).repeat_interleave(self.heads, 0)[None]
            query, key, value = query.flatten(1, 2), key.flatten(1, 2), value.flatten(1, 2)
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).unflatten(1, (W, -1))
        else:
            query, key, value = query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
            attended = F.scaled_dot_product_attention(query, key, value).unflatten(0, (N, W))
        grid = self.proj(attended.transpose(2, 3).flatten(3))  # [N, windows, n, dim]
        grid = grid.unflatten(2, (window, window)).unflatten(1, (rows, columns)).transpose(2, 3)
        grid = grid.flatten(3, 4).flatten(1, 2)
        if shift:
            grid = grid.roll((shift, shift), (1, 2))
        return grid[:, :h, :w].unflatten(0, x.shape[:-3])


class WindowBlock(nn.Module):
    """Pre-norm block: attention within windows, then an MLP, each added to its input.

    Args:
        dim: width of the tokens.
        heads: number of heads, a divisor of dim.
        window: side of the windows, in cells.
        shift: by how many cells the windows are moved.
        guidance_dim: width of the guidance; 0: none.
    """

    def __init__(self, dim: int, *, heads: int, window: int, shift: int = 0, guidance_dim: int = 0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads=heads, window=window, shift=shift, guidance_dim=guidance_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, 4 * dim)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Map tokens [..., h, w, dim] to the same shape."""
        x = x + self.attn(self.norm1(x), guidance)
        return x + self.mlp(self.norm2(x))


def _same_region(h: int, w: int, window: int, shift: int, device: torch.device) -> torch.Tensor:
    """Which places of a window may attend to each other, [windows, window x window, window x window].

    Along each side: cells as they lie, cells that the shift brought around the edge, and cells that are filled up.
    """

    def parts(side: int) -> torch.Tensor:
        place = torch.arange(side + -side % window, device=device).roll(-shift)
        return torch.where(place < side, place < shift, 2).unflatten(0, (-1, window))

    region = 3 * parts(h)[:, None, :, None] + parts(w)[None, :, None, :]  # [rows, columns, window, window]
    region = region.flatten(2).flatten(0, 1)
    return region[:, :, None] == region[:, None, :]
