# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Projection onto prototypes for self-distillation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class DINOHead(nn.Module):
    """Two linear layers, normalization, and cosines with learned prototypes.

    Source: DINO (Caron et al., 2021), section 3.1; DCXFM uses it with 128 prototypes. The last layer has
    weight-normalized rows whose gain stays 1, so that its outputs are cosines. Weights begin with a truncated normal
    of standard deviation 0.02 and biases with 0.

    Deviation: the official head carries a second last layer that nothing uses.

    Args:
        in_dim: width of the embeddings.
        hidden_dim: width of the hidden layer.
        bottleneck_dim: width of the normalized features.
        out_dim: number of prototypes.
    """

    def __init__(
        self, *, in_dim: int = 128, hidden_dim: int = 2048, bottleneck_dim: int = 256, out_dim: int = 128
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(in_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, bottleneck_dim))
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last_layer = weight_norm(nn.Linear(bottleneck_dim, out_dim, bias=False))
        gain = self.last_layer.parametrizations.weight.original0
        nn.init.ones_(gain)
        gain.requires_grad_(False)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map embeddings [..., in_dim] to logits [..., out_dim], each in [-1, 1]."""
        return self.last_layer(F.normalize(self.mlp(embedding), dim=-1))
