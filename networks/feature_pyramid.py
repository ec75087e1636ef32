# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps of several grids out of the one map that an encoder gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of each cell of a map [B, C, h, w]."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize a map; shapes as above."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class FeaturePyramid(nn.Module):
    """Simple feature pyramid: every level is made from the last map of the encoder alone.

    Source: Li et al., Exploring Plain Vision Transformer Backbones for Object Detection (ViTDet), section 3. Finer
    levels by transposed convolutions, each doubling the grid and halving the channels; coarser ones by max pooling;
    then 1 x 1 and 3 x 3 convolutions to ``out_channels``, each with a normalization over channels. A pooled grid is
    rounded up, so that no cell at the border is lost.

    Args:
        in_channels: channels of the encoder's map.
        in_stride: pixels of the image between two cells of that map.
        out_channels: channels of every level.
        strides: of the levels, finest first; each ``in_stride`` times or divided by a power of two.

    Raises:
        ValueError: if the strides do not rise or cannot be reached from in_stride.
    """

    out_channels: int
    """Channels of every level, as MONAI's RetinaNet asks for them."""
    strides: tuple[int, ...]
    """Pixels between two cells, level by level."""

    def __init__(
        self, in_channels: int, in_stride: int, *, out_channels: int = 256, strides: Sequence[int] = (8, 16, 32, 64)
    ) -> None:
        super().__init__()
        if not strides or any(a >= b for a, b in zip(strides, strides[1:], strict=False)):
            raise ValueError(f"strides must rise, got {list(strides)}")
        self.out_channels, self.strides = out_channels, tuple(strides)
        self.levels = nn.ModuleList(_level(in_channels, in_stride, out_channels, stride) for stride in strides)

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Make the levels.

        Args:
            features: [B, in_channels, h, w].

        Returns:
            ``stride8`` and so on, finest first: [B, out_channels, h * in_stride / stride, w * in_stride / stride].
        """
        return {f"stride{stride}": level(features) for stride, level in zip(self.strides, self.levels, strict=True)}


def _level(channels: int, in_stride: int, out_channels: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    now = in_stride
    while now > stride and now % 2 == 0:
        if layers:
            layers += [ChannelNorm(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, max(channels // 2, 1), 2, stride=2))
        channels, now = max(channels // 2, 1), now // 2
    while now < stride:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        now *= 2
    if now != stride:
        raise ValueError(f"strides must be {in_stride} times or divided by a power of two, got {stride}")
    return nn.Sequential(
        *layers,
        nn.Conv2d(channels, out_channels, 1, bias=False),
        ChannelNorm(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        ChannelNorm(out_channels),
    )
