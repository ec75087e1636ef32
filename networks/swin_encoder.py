# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Swin transformer as an encoder of dense features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import nn


class SwinEncoder(nn.Module):
    """MONAI's Swin transformer: an image of any size becomes a grid of features, 32 times smaller.

    Source: Liu et al., "Swin Transformer", 2021; the sizes by default are those of Swin-T. DCXFM names a Swin as an
    option, but its code for it cannot run (quirk Q16).

    Deviation from MONAI: the merging of patches after the last stage is left out, as in the paper, and the features
    end in a learned layer normalization. Images whose last grid is smaller than the window use windows of that size,
    with a part of the table of positions.

    Args:
        in_channels: channels of the image.
        dim: channels of the first stage; each further stage has twice as many.
        depths: blocks of the four stages.
        heads: attention heads of the four stages.
        window: side of the attention windows, in cells.
        patch_size: side of the first stage's cells, in pixels.
        drop_path: highest rate of stochastic depth.
        recompute: compute blocks again in the backward pass instead of keeping their activations.

    Raises:
        ValueError: if ``depths`` or ``heads`` are not four numbers, or heads do not divide the channels of a stage.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        patch_size: int = 4,
        drop_path: float = 0.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        for name, sizes in (("depths", depths), ("heads", heads)):
            if len(sizes) != 4:
                raise ValueError(f"{name} must be four numbers, got {list(sizes)}")
        widths = [dim * 2**stage for stage in range(4)]
        if any(width % number for width, number in zip(widths, heads, strict=True)):
            raise ValueError(f"heads {list(heads)} must divide the channels of their stages, {widths}")
        self.swin = SwinTransformer(
            in_chans=in_channels,
            embed_dim=dim,
            window_size=(window, window),
            patch_size=(patch_size, patch_size),
            depths=depths,
            num_heads=heads,
            drop_path_rate=drop_path,
            patch_norm=True,
            use_checkpoint=recompute,
            spatial_dims=2,
            downsample="mergingv2",
        )
        last: Any = self.swin.layers4[0]
        last.downsample = None
        self.out_channels = widths[-1]
        self.norm = nn.LayerNorm(self.out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode an image [B, in_channels, H, W] into features [B, out_channels, h, w]; h = H / 32, rounded up."""
        features = self.swin(image, normalize=False)[-1]
        return self.norm(features.movedim(1, -1)).movedim(-1, 1)
