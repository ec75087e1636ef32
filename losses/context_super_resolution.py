# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Error of a super-resolved image inside its context window."""

from __future__ import annotations

import torch
from torch import nn


class ContextSuperResolutionLoss(nn.Module):
    """Squared error of a super-resolved image inside one rectangle per sample.

    Source: ECAMP, "context-guided super-resolution". As in the official code the mean runs over all
    pixels, those outside the window counted as zero: a full 12 x 12 window of 14 x 14 cells gives 144 / 196 of the
    mean inside it.

    Deviation: the window is given in fractions of the image, so that it can follow crops and flips (quirk Q2); the
    official cell indices (i, j) are ``(i, j, i + 12, j + 12) / 14``.
    """

    def forward(self, super_resolution: torch.Tensor, image: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
        """Compare a super-resolved image with the original.

        Args:
            super_resolution: [B, C, H, W].
            image: the original, [B, C, H, W].
            window: (y0, x0, y1, x1) as fractions of the image, ends exclusive, [B, 4]; rounded to whole pixels.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: if the shapes do not fit.
        """
        batch, _, height, width = image.shape
        if super_resolution.shape != image.shape or window.shape != (batch, 4):
            raise ValueError(
                f"shapes do not fit: super_resolution {tuple(super_resolution.shape)}, image {tuple(image.shape)}, "
                f"window {tuple(window.shape)}"
            )
        y0, x0, y1, x1 = window.float().split(1, dim=1)  # -> [B, 1] each
        y0, y1 = ((edge * height).round() for edge in (y0, y1))
        x0, x1 = ((edge * width).round() for edge in (x0, x1))
        y = torch.arange(height, device=image.device)
        x = torch.arange(width, device=image.device)
        inside_rows, inside_columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)  # -> [B, H], [B, W]
        inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]  # -> [B, 1, H, W]
        return ((super_resolution.float() - image.float()).square() * inside).mean()
