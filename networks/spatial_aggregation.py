# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Aggregation of a cost volume over the places of an image, class by class."""

from __future__ import annotations

import torch
from torch import nn

from radbundles.networks.window_block import WindowBlock


class SpatialAggregation(nn.Module):
    """Two window blocks on the map of a class, the second with shifted windows.

    Source: DCXFM, stage 2; CAT-Seg, section 3.3. Not MONAI's ``SwinTransformerBlock``: it gives the same numbers while
    its table of relative positions is zero, but that table trains, ties it to one window, and keeps its training off
    the fused attention; guidance has no place in it (tested against it). Guidance stops the official code at a
    breakpoint that was left in (quirk Q18).

    Args:
        dim: channels of the maps.
        heads: number of heads, a divisor of dim.
        window: side of the windows, in cells; on a grid whose smaller side is not larger, both blocks attend there
            without shift.
        appearance_dim: channels of the guidance by the image's own features; 0: none.
    """

    def __init__(self, dim: int, *, heads: int = 4, window: int = 16, appearance_dim: int = 0) -> None:
        super().__init__()
        self.guidance_norm = nn.LayerNorm(appearance_dim) if appearance_dim else None
        self.blocks = nn.ModuleList(
            WindowBlock(dim, heads=heads, window=window, shift=shift, guidance_dim=appearance_dim)
            for shift in (0, window // 2)
        )

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Aggregate maps, each on its own.

        Args:
            x: [N, dim, h, w], fastest with channels last in memory.
            guidance: [G, appearance_dim, h, w]; each serves N / G maps that follow each other.

        Returns:
            [N, dim, h, w] with channels last in memory.
        """
        tokens = x.movedim(1, -1)
        if guidance is not None and self.guidance_norm is not None:
            guidance = self.guidance_norm(guidance.movedim(1, -1))[:, None]  # [G, 1, h, w, appearance_dim]
            tokens = tokens.unflatten(0, (guidance.shape[0], -1))
        for block in self.blocks:
            tokens = block(tokens, guidance)
        return tokens.flatten(0, -4).movedim(-1, 1)
