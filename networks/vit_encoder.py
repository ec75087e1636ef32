# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Vision transformer as an encoder of dense features, for fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from radbundles.networks.masked_vit import PatchEmbed
from radbundles.networks.position_table import sincos_position_table
from radbundles.networks.transformer_block import TransformerBlock
from radbundles.networks.weight_init import init_transformer_weights


class ViTEncoder(nn.Module):
    """Vision transformer whose patches are a map of features: an image in, [B, dim, rows, columns] out.

    Source: fine-tuning of ECAMP, where downstream heads read the patches of the last block as they are, without the
    final norm and without the class token. Keys of the state dict are those of timm, MAE and
    :class:`~radbundles.networks.MaskedViTEncoder`: ``cls_token, pos_embed, patch_embed.proj, blocks.i...`` and, where
    there is one, ``norm``. The position table is trained.

    Args:
        image_size: side of the image in pixels, a multiple of patch_size.
        patch_size: side of a patch in pixels.
        dim: width of the tokens, a multiple of 4 and of heads.
        depth: number of blocks.
        heads: number of attention heads.
        mlp_ratio: hidden width of the MLPs over dim.
        in_channels: channels of the image.
        drop_path: share of samples that skip a branch of the last block in training; it grows linearly over the
            blocks, from 0 in the first.
        norm: end in a layer normalization; official: none.
        eps: epsilon of the layer normalizations. Published models of the library transformers have 1e-12.

    Attributes:
        grid: rows and columns of patches.
        out_channels: channels of the features, dim.
        stride: pixels of the image that a cell stands for, patch_size.

    Raises:
        ValueError: if the sizes do not fit, or drop_path does not lie in [0, 1).
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
        in_channels: int = 3,
        drop_path: float = 0.0,
        norm: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if patch_size < 1 or image_size < 1 or image_size % patch_size:
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size {patch_size}")
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, got {depth}")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must lie in [0, 1), got {drop_path}")
        self.image_size = image_size
        self.in_channels = in_channels
        self.grid = (image_size // patch_size, image_size // patch_size)
        self.out_channels = dim
        self.stride = patch_size
        self.patch_embed = PatchEmbed(patch_size=patch_size, dim=dim, in_channels=in_channels)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(sincos_position_table(dim, self.grid))
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, heads, mlp_ratio=mlp_ratio, eps=eps, drop_path=drop_path * i / max(1, depth - 1))
            for i in range(depth)
        )
        if norm:
            self.norm = nn.LayerNorm(dim, eps=eps)
        init_transformer_weights(self)
        nn.init.normal_(self.cls_token, std=0.02)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode normalized images [B, in_channels, image_size, image_size] as maps [B, dim, rows, columns].

        Raises:
            ValueError: if the image has another size.
        """
        *_, last = self._run(image)
        return self._map(last)

    def hidden(self, image: torch.Tensor, layers: Sequence[int]) -> list[torch.Tensor]:
        """Features after several blocks, for decoders that look at more than the last.

        Args:
            image: [B, in_channels, image_size, image_size].
            layers: after how many blocks, from 1 to depth, in any order.

        Returns:
            A map [B, dim, rows, columns] for each of layers; that of the last block is what :meth:`forward` gives.

        Raises:
            ValueError: if there is no such block, or the image has another size.
        """
        if wrong := [layer for layer in layers if not 1 <= layer <= len(self.blocks)]:
            raise ValueError(f"layers are counted from 1 to {len(self.blocks)}, got {wrong}")
        maps = {number: self._map(x) for number, x in enumerate(self._run(image), start=1) if number in layers}
        return [maps[layer] for layer in layers]

    def _run(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        """Tokens [B, 1 + N, dim] after each block."""
        if image.shape[1:] != (self.in_channels, self.image_size, self.image_size):
            raise ValueError(
                f"expected an image [B, {self.in_channels}, {self.image_size}, {self.image_size}], "
                f"got {tuple(image.shape)}"
            )
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            yield self.norm(x) if number == len(self.blocks) and hasattr(self, "norm") else x

    def _map(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, self.grid)
