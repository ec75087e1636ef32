# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoder that makes logits four times finer than the grid of an aggregated cost volume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class UpsamplingStep(nn.Module):
    """Doubles the grid by a transposed convolution, joins guidance, then convolves twice.

    Args:
        in_channels: channels of the maps.
        out_channels: channels of the result.
        guidance_dim: channels of the guidance, which replace as many of the in_channels; 0: none.

    Raises:
        ValueError: if the channels cannot be split into groups, or guidance leaves none to the maps.
    """

    def __init__(self, in_channels: int, out_channels: int, guidance_dim: int = 0) -> None:
        super().__init__()
        groups = out_channels // 16
        if groups < 1 or out_channels % groups:
            raise ValueError(f"a step needs 16 or more channels, in groups of about 16, got {out_channels}")
        self.own = in_channels - guidance_dim
        if guidance_dim < 0 or self.own < 1:
            raise ValueError(f"guidance of {guidance_dim} channels leaves none of {in_channels} to the maps")
        self.up = nn.ConvTranspose2d(in_channels, self.own, 2, stride=2)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, out_channels)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor | None = None) -> torch.Tensor:
        """Map [N, in_channels, h, w], guidance [G, guidance_dim, 2h, 2w], to [N, out_channels, 2h, 2w]."""
        if (guidance is None) != (self.own == self.up.in_channels):
            have = "none was given" if guidance is None else "some was given"
            raise ValueError(f"the step takes {self.up.in_channels - self.own} channels of guidance, but {have}")
        x = self.up(x)
        if guidance is None:
            x = self.conv1(x)
        else:  # the convolution of what is joined is a sum; the part of the guidance serves all maps of an image
            x = F.conv2d(x, self.conv1.weight[:, : self.own], padding=1)
            shared = F.conv2d(guidance, self.conv1.weight[:, self.own :], padding=1)
            x = (x.unflatten(0, (shared.shape[0], -1)) + shared[:, None]).flatten(0, 1)
        x = F.relu(self.norm1(x), inplace=True)
        return F.relu(self.norm2(self.conv2(x)), inplace=True)


class UpsamplingDecoder(nn.Module):
    """Two up-sampling steps and a convolution to one logit: a grid four times finer, map by map.

    Source: DCXFM, stage 2; CAT-Seg, section 3.4.

    Args:
        dim: channels of the maps.
        widths: channels after each of the two steps, 16 or more.
        guidance_dims: channels of the guidance of the steps; 0: none.

    Raises:
        ValueError: if there are not two of each, or they do not fit.
    """

    def __init__(self, dim: int, *, widths: Sequence[int] = (32, 16), guidance_dims: Sequence[int] = (0, 0)) -> None:
        super().__init__()
        if len(widths) != 2 or len(guidance_dims) != 2:
            raise ValueError(f"there are two steps, got the widths {list(widths)} and guidance {list(guidance_dims)}")
        self.step1 = UpsamplingStep(dim, widths[0], guidance_dims[0])
        self.step2 = UpsamplingStep(widths[0], widths[1], guidance_dims[1])
        self.head = nn.Conv2d(widths[1], 1, 3, padding=1)

    def forward(self, x: torch.Tensor, guidance: Sequence[torch.Tensor | None] = (None, None)) -> torch.Tensor:
        """Decode maps, each on its own.

        Args:
            x: [N, dim, h, w].
            guidance: of the steps, [G, channels, 2h, 2w] and [G, channels, 4h, 4w], or None; each serves N / G maps
                that follow each other.

        Returns:
            Logits [N, 1, 4h, 4w], float32 also under autocast.
        """
        x = self.step1(x, guidance[0])
        x = self.step2(x, guidance[1])
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.float())
