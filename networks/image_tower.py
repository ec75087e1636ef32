# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Image half of a model that compares images and texts cell by cell."""

from __future__ import annotations

import torch
from torch import nn


class ImageTower(nn.Module):
    """An encoder of dense features and one linear layer into the space shared with texts.

    Source: DCXFM, student image encoder and projection. The embedding of a whole image is the mean of its cells.

    Args:
        encoder: any module that maps [B, C, H, W] to [B, channels, h, w].
        dim: width of the shared space.
        channels: channels of the encoder's features; by default its attribute ``out_channels``.
        center: bring each feature to mean 0 and variance 1 over batch and cells, by a batch normalization without
            parameters, before the layer. Features behind a ReLU are never negative, so that those of any two images
            point the same way; from random weights, contrast takes long to get over that. An addition of ours.

    Raises:
        ValueError: if the number of channels is neither given nor told by the encoder.
    """

    def __init__(
        self, encoder: nn.Module, *, dim: int = 128, channels: int | None = None, center: bool = False
    ) -> None:
        super().__init__()
        width = getattr(encoder, "out_channels", None) if channels is None else channels
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"{type(encoder).__name__} has no attribute out_channels: give channels, got {channels}")
        self.encoder = encoder
        self.norm = nn.BatchNorm2d(width, affine=False) if center else nn.Identity()
        self.projection = nn.Linear(width, dim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Embed the cells of an image.

        Args:
            image: [B, C, H, W].

        Returns:
            Cells [B, dim, h, w] in float32, not normalized.
        """
        return self.project(self.encoder(image))

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Embed features of the encoder, [B, channels, h, w], as cells [B, dim, h, w]."""
        if features.ndim != 4 or features.shape[1] != self.projection.in_features:
            raise ValueError(
                f"{type(self.encoder).__name__} gave features of the shape {tuple(features.shape)}, "
                f"[B, {self.projection.in_features}, h, w] is needed"
            )
        return self.projection(self.norm(features).movedim(1, -1)).movedim(-1, 1).float()
