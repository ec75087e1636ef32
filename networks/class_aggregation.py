# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Aggregation of a cost volume over the classes, place by place."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.guided_linear import GuidedLinear


class ClassAggregation(nn.Module):
    """Pre-norm transformer block among the classes of a place, at a coarser grid.

    Any number of classes, in any order: permuted classes give permuted results. There is no output projection.

    Source: DCXFM, stage 2; CAT-Seg, section 3.3. Linear attention: Katharopoulos et al., "Transformers are RNNs",
    ICML 2020, with the features elu + 1.

    Args:
        dim: channels of the maps.
        heads: number of heads, a divisor of dim.
        pooling: side of the squares of cells that are averaged first, or rows and columns; a remainder at the edge is
            left out, and a grid smaller than a square is averaged whole.
        attention: "linear", whose cost is linear in the number of classes, or "full" (softmax).
        text_dim: width of the guidance by the texts of the classes; 0: none.

    Raises:
        ValueError: for an unknown attention, or if heads does not divide dim.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        pooling: int | tuple[int, int] = 2,
        attention: Literal["linear", "full"] = "linear",
        text_dim: int = 0,
    ) -> None:
        super().__init__()
        if attention not in ("linear", "full"):
            raise ValueError(f"attention must be 'linear' or 'full', got {attention!r}")
        if heads < 1 or dim % heads:
            raise ValueError(f"the width {dim} is not a multiple of the number of heads {heads}")
        self.heads = heads
        self.pooling = (pooling, pooling) if isinstance(pooling, int) else tuple(pooling)
        if len(self.pooling) != 2 or min(self.pooling) < 1:
            raise ValueError(f"pooling must be one positive number or two, got {pooling}")
        self.attend = linear_attention if attention == "linear" else F.scaled_dot_product_attention
        self.norm1 = nn.LayerNorm(dim)
        self.q = GuidedLinear(dim, text_dim, dim)
        self.k = GuidedLinear(dim, text_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim))

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Aggregate among the T classes of each place.

        Args:
            x: [B, T, dim, h, w].
            guidance: of the classes, [B, T, text_dim] or, the same for all images, [1, T, text_dim].

        Returns:
            [B, T, dim, h, w].
        """
        B, _, _, h, w = x.shape
        maps = x.flatten(0, 1)
        pooled = F.avg_pool2d(maps, (min(self.pooling[0], h), min(self.pooling[1], w)))
        tokens = pooled.unflatten(0, (B, -1)).permute(0, 3, 4, 1, 2)  # [B, h', w', T, dim]
        normed = self.norm1(tokens)
        if guidance is not None:
            guidance = guidance[:, None, None]
        q, k, v = self.q(normed, guidance), self.k(normed, guidance), self.v(normed)
        heads = [each.unflatten(-1, (self.heads, -1)).transpose(-3, -2).flatten(0, 2) for each in (q, k, v)]
        attended = self.attend(*heads)  # [B h' w', heads, T, dim / heads]
        tokens = tokens + attended.transpose(1, 2).flatten(2).unflatten(0, tokens.shape[:3])
        tokens = tokens + self.mlp(self.norm2(tokens))
        coarse = tokens.permute(0, 3, 4, 1, 2).flatten(0, 1)
        fine = F.interpolate(coarse, size=(h, w), mode="bilinear", align_corners=True)
        return (maps + fine).unflatten(0, (B, -1))


def linear_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention [..., N, D] with the kernel of elu + 1 in the place of softmax; its sums in float32.

    The official code divides values by their number and multiplies the result by it, which changes nothing in float32.
    """
    with torch.autocast(query.device.type, enabled=False):
        q, k = F.elu(query.float()) + 1, F.elu(key.float()) + 1
        mixed = q @ (k.mT @ value.float())
        return (mixed / (q @ k.sum(-2).unsqueeze(-1) + 1e-6)).to(value.dtype)
