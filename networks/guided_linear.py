# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A linear layer on tokens joined with guidance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class GuidedLinear(nn.Linear):
    """Linear layer on tokens and guidance laid side by side, which are never laid side by side.

    ``W [x; g] + b = W_x x + W_g g + b``: where one guidance serves many tokens, its part is computed once and added
    by broadcasting. The parameters are those of a linear layer on the joined width, tokens first.

    Args:
        dim: width of the tokens.
        guidance_dim: width of the guidance; 0: a plain linear layer.
        out_dim: width of the result.
    """

    def __init__(self, dim: int, guidance_dim: int, out_dim: int) -> None:
        super().__init__(dim + guidance_dim, out_dim)
        self.dim = dim

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Map tokens [..., dim] with guidance [..., guidance_dim], which broadcasts to them, to [..., out_dim]."""
        if (guidance is None) != (self.dim == self.in_features):
            have = "none was given" if guidance is None else "some was given"
            raise ValueError(f"the layer takes guidance of the width {self.in_features - self.dim}, but {have}")
        if guidance is None:
            return super().forward(x)
        own = F.linear(x, self.weight[:, : self.dim])
        return own + F.linear(guidance, self.weight[:, self.dim :], self.bias)
