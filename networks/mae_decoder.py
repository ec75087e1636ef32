# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoder of masked autoencoders: from the visible tokens to the whole image."""

from __future__ import annotations

import torch
from torch import nn

from radbundles.networks.position_table import PositionFormula, sincos_position_table
from radbundles.networks.transformer_block import TransformerBlock
from radbundles.networks.weight_init import init_transformer_weights


class MAEDecoder(nn.Module):
    """Transformer that fills in the hidden patches and draws the image.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022; ECAMP uses 4 blocks in place
    of 8.

    Args:
        grid: rows and columns of patches.
        patch_size: side of a patch in pixels.
        encoder_dim: width of the encoder's tokens.
        dim: width of the decoder.
        depth: number of blocks.
        heads: number of attention heads.
        mlp_ratio: hidden width of the MLPs over dim.
        position_table: formula of the initial position table, see :func:`sincos_position_table`.
    """

    def __init__(
        self,
        *,
        grid: tuple[int, int] = (14, 14),
        patch_size: int = 16,
        encoder_dim: int = 768,
        dim: int = 512,
        depth: int = 4,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        position_table: PositionFormula = "mae",
    ) -> None:
        super().__init__()
        self.grid = grid
        self.patch_size = patch_size
        self.embed = nn.Linear(encoder_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(sincos_position_table(dim, grid, formula=position_table), requires_grad=False)
        self.blocks = nn.ModuleList([TransformerBlock(dim, heads, mlp_ratio=mlp_ratio) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pred = nn.Linear(dim, 3 * patch_size**2)
        init_transformer_weights(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latent: torch.Tensor, restore: torch.Tensor) -> torch.Tensor:
        """Draw the image that the visible tokens belong to.

        Args:
            latent: tokens of the encoder, class token first, [B, 1 + K, encoder_dim].
            restore: position of each patch of the grid in (visible, then hidden) order, [B, N].

        Returns:
            Image [B, 3, H, W].
        """
        x = self.embed(latent)  # -> [B, 1 + K, dim]
        hidden = restore.shape[1] - (x.shape[1] - 1)
        mask_tokens = self.mask_token.to(x.dtype).expand(x.shape[0], hidden, -1)
        filled = torch.cat([x[:, 1:], mask_tokens], dim=1)  # -> [B, N, dim]
        filled = filled.gather(1, restore.unsqueeze(-1).expand(-1, -1, filled.shape[-1]))
        x = torch.cat([x[:, :1], filled], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self._draw(self.pred(self.norm(x[:, 1:])))

    def _draw(self, pixels: torch.Tensor) -> torch.Tensor:
        # A token holds its patch as (row, column, channel), the channel fastest.
        (rows, columns), p = self.grid, self.patch_size
        patches = pixels.reshape(pixels.shape[0], rows, columns, p, p, 3).permute(0, 5, 1, 3, 2, 4)
        return patches.reshape(pixels.shape[0], 3, rows * p, columns * p)
