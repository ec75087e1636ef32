# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-norm transformer block of vision transformers, with the parameter names of timm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.networks.layers.drop_path import DropPath
from torch import nn


class SelfAttention(nn.Module):
    """Multi-head self-attention with one fused query-key-value projection.

    Args:
        dim: width of the tokens.
        heads: number of heads, a divisor of dim.

    Raises:
        ValueError: if heads does not divide dim.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"the width {dim} is not a multiple of the number of heads {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend among the tokens [B, N, dim]; the result has the same shape."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # -> [3, B, heads, N, dim / heads]
        attended = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.proj(attended.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them.

    Args:
        dim: width of input and output.
        hidden: width between the two layers.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens [..., dim] to the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """Pre-norm block: self-attention, then an MLP, each added to its input.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021. The state dict has the keys of a timm
    block: ``norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2``.

    Args:
        dim: width of the tokens.
        heads: number of heads, a divisor of dim.
        mlp_ratio: hidden width of the MLP over dim.
        eps: epsilon of the layer norms.
        drop_path: share of the samples of a training batch for which each of the two branches is left out.
    """

    def __init__(
        self, dim: int, heads: int, *, mlp_ratio: float = 4.0, eps: float = 1e-6, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = MLP(dim, round(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens [B, N, dim] to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
