# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoder of the UNETR and U-Net type: up path with skips from the image and from earlier features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Any

import torch
from monai.networks.blocks.unetr_block import UnetrBasicBlock, UnetrPrUpBlock, UnetrUpBlock
from torch import nn


class UNETRDecoder(nn.Module):
    """The up path of UNETR in two dimensions, made of MONAI's blocks, for features of any stride.

    Source: Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation", WACV 2022. Each step doubles
    the grid by a transposed convolution, joins a skip of the same grid, and convolves twice. A skip that is coarser
    than its step, as the hidden states of a vision transformer are, is brought to the grid by transposed convolutions;
    one of the same grid, as stages of a ResNet have it, is convolved; and one that is finer is convolved with a stride.

    Args:
        in_channels: channels of the deepest features.
        num_classes: number of structures.
        stride: pixels of the image that a cell of the deepest features stands for, a power of 2.
        skips: channels and stride of the skip of each step, from coarse to fine.
        widths: channels after each step, from coarse to fine; as many as doublings lead from stride to the image.

    Raises:
        ValueError: if the numbers of widths, skips and doublings differ, or stride is no power of 2.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        stride: int,
        skips: Sequence[tuple[int, int]],
        widths: Sequence[int] = (128, 64, 32, 16),
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        if 2 ** len(widths) != stride or len(skips) != len(widths):
            raise ValueError(
                f"a stride of {stride} needs log2({stride}) widths and skips, got {list(widths)} and {list(skips)}"
            )
        self.skips = nn.ModuleList(
            _skip(channels, width, finer=log2(source * 2**step / stride))
            for step, ((channels, source), width) in enumerate(zip(skips, widths, strict=True), start=1)
        )
        self.steps = nn.ModuleList(
            UnetrUpBlock(2, before, after, kernel_size=3, upsample_kernel_size=2, norm_name="instance", res_block=True)
            for before, after in pairwise([in_channels, *widths])
        )
        self.head = nn.Conv2d(widths[-1], num_classes, 1)

    def forward(self, features: torch.Tensor, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode features [B, in_channels, h, w] and skips into logits [B, num_classes, h * stride, w * stride].

        Args:
            features: the deepest ones.
            skips: from coarse to fine, of the channels and strides told before.
        """
        x = features
        for step, prepare, skip in zip(self.steps, self.skips, skips, strict=True):
            x = step(x, prepare(skip))
        return self.head(x)


def _skip(channels: int, width: int, *, finer: float) -> nn.Module:
    """Bring a skip to the width and grid of its step, ``finer`` doublings finer than it is."""
    if finer != int(finer):
        raise ValueError("the strides of skips must be powers of 2")
    options: Any = {"kernel_size": 3, "norm_name": "instance", "res_block": True}
    if finer <= 0:
        return UnetrBasicBlock(2, channels, width, stride=2 ** int(-finer), **options)
    return UnetrPrUpBlock(
        2, channels, width, num_layer=int(finer) - 1, stride=1, upsample_kernel_size=2, conv_block=True, **options
    )
