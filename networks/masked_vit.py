# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Vision transformer that can look at a chosen subset of the patches only."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.position_table import PositionFormula, sincos_position_table
from radbundles.networks.transformer_block import TransformerBlock
from radbundles.networks.weight_init import init_transformer_weights


class PatchMask(NamedTuple):
    """A random choice of visible patches, per sample.

    Attributes:
        keep: indices of the visible patches in the order they are fed to the encoder, [B, K].
        restore: position in (visible, then hidden) order of each patch in grid order, [B, N].
        mask: 1 where a patch is hidden, 0 where visible, in grid order, [B, N] float32.
    """

    keep: torch.Tensor
    restore: torch.Tensor
    mask: torch.Tensor


def random_patch_mask(noise: torch.Tensor, mask_ratio: float) -> PatchMask:
    """Hide a share of the patches: those with the highest noise.

    Source: MAE (He et al., CVPR 2022). The number of visible patches is ``int(N * (1 - mask_ratio))``.

    Args:
        noise: one number per patch, usually uniform in [0, 1), [B, N].
        mask_ratio: share of hidden patches.
    """
    visible = int(noise.shape[1] * (1 - mask_ratio))
    order = noise.argsort(dim=1)
    restore = order.argsort(dim=1)
    return PatchMask(keep=order[:, :visible], restore=restore, mask=(restore >= visible).float())


class PatchEmbed(nn.Module):
    """Linear embedding of non-overlapping square patches, stored as the convolution ``proj`` that timm has.

    The two steps are apart so that masked training embeds the visible patches only.

    Args:
        patch_size: side of a patch in pixels.
        dim: width of the tokens.
        in_channels: channels of the image.
    """

    def __init__(self, *, patch_size: int, dim: int, in_channels: int = 3) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)
        nn.init.xavier_uniform_(self.proj.weight.data.flatten(1))

    def cut(self, image: torch.Tensor) -> torch.Tensor:
        """Cut an image [B, C, H, W] into its patches in row-major order, [B, N, C * patch * patch]."""
        p = self.patch_size
        batch, channels, height, width = image.shape
        patches = image.reshape(batch, channels, height // p, p, width // p, p).permute(0, 2, 4, 1, 3, 5)
        return patches.reshape(batch, (height // p) * (width // p), channels * p * p)

    def project(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed cut patches [B, K, C * patch * patch] as tokens [B, K, dim]."""
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Embed an image [B, C, H, W] as tokens [B, N, dim] in row-major order."""
        return self.project(self.cut(image))


class MaskedViTEncoder(nn.Module):
    """Vision transformer encoder of MAE: all patches, or the visible ones only.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022. Keys of the state dict are
    those of timm and MAE: ``cls_token, pos_embed, patch_embed.proj, blocks.i..., norm``. The position table is a
    parameter without gradient: always loaded, never recomputed, and free to be unfrozen for fine-tuning.

    Args:
        image_size: side of the image in pixels, a multiple of patch_size.
        patch_size: side of a patch in pixels.
        dim: width of the tokens.
        depth: number of blocks.
        heads: number of attention heads.
        mlp_ratio: hidden width of the MLPs over dim.
        position_table: formula of the initial position table, see :func:`sincos_position_table`.

    Attributes:
        grid: rows and columns of patches.
        sizes: the arguments that weights of another image size share.

    Raises:
        ValueError: if the image is not a whole number of patches.
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        position_table: PositionFormula = "mae",
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size {patch_size}")
        self.image_size = image_size
        self.sizes: dict[str, Any] = {
            "patch_size": patch_size,
            "dim": dim,
            "depth": depth,
            "heads": heads,
            "mlp_ratio": mlp_ratio,
        }
        self.grid = (image_size // patch_size, image_size // patch_size)
        self.patch_embed = PatchEmbed(patch_size=patch_size, dim=dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(
            sincos_position_table(dim, self.grid, formula=position_table), requires_grad=False
        )
        self.blocks = nn.ModuleList([TransformerBlock(dim, heads, mlp_ratio=mlp_ratio) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        init_transformer_weights(self)
        nn.init.normal_(self.cls_token, std=0.02)

    def forward(self, image: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Encode an image.

        Args:
            image: normalized image [B, 3, image_size, image_size].
            keep: indices of the visible patches, [B, K]; all of them in grid order if not given.

        Returns:
            Tokens after the final norm, [B, 1 + K, dim], the class token first, patches in the order of keep.

        Raises:
            ValueError: if the image has another size.
        """
        if image.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(
                f"expected an image [B, 3, {self.image_size}, {self.image_size}], got {tuple(image.shape)}"
            )
        patches = self.patch_embed.cut(image)
        positions = self.pos_embed[:, 1:]
        if keep is not None:
            patches = patches.gather(1, keep.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
            positions = positions[0, keep]  # -> [B, K, dim]
        x = self.patch_embed.project(patches) + positions
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(x.shape[0], -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
