# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoder that doubles the grid of an encoder step by step until it has the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class ProgressiveDecoder(nn.Module):
    """Logits of structures out of the last features of an encoder alone.

    Source: segmentation of ECAMP: one linear layer on the cells (``seg_head``), then for each doubling a convolution, a
    batch normalization, a ReLU and bilinear interpolation with aligned corners, and a last convolution. On a ViT-B/16
    it has 5.68 million parameters for one structure. Official models of several structures (optic disc and cup) have a
    decoder for each behind the same linear layer: ``shared=False``.

    Args:
        in_channels: channels of the features.
        num_classes: number of structures.
        widths: channels after each doubling; there are as many doublings.
        shared: whether all structures share one decoder, which ends in a convolution to all of them.

    Raises:
        ValueError: if there is no structure or no doubling.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        widths: Sequence[int] = (512, 256, 128, 64),
        shared: bool = True,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        if not widths or min(widths) < 1:
            raise ValueError(f"widths must be positive numbers, one for each doubling, got {list(widths)}")
        self.seg_head = nn.Linear(in_channels, in_channels)
        outputs = [num_classes] if shared else [1] * num_classes
        self.branches = nn.ModuleList(_branch([in_channels, *widths], count) for count in outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Decode features [B, in_channels, h, w] into logits [B, num_classes, h * 2^n, w * 2^n] for n widths."""
        cells = self.seg_head(features.movedim(1, -1)).movedim(-1, 1)
        return torch.cat([branch(cells) for branch in self.branches], dim=1)


def _branch(widths: Sequence[int], outputs: int) -> nn.Sequential:
    stages = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        )
        for before, after in zip(widths[:-1], widths[1:], strict=True)
    ]
    return nn.Sequential(*stages, nn.Conv2d(widths[-1], outputs, 3, padding=1))
