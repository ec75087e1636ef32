# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reconstruction error on the hidden patches of an image."""

from __future__ import annotations

import torch
from torch import nn


class MaskedImageLoss(nn.Module):
    """Squared error of a reconstructed image on its hidden patches.

    Source: ECAMP, after MAE (He et al., CVPR 2022). As in the official code the mean runs over all
    pixels, visible ones counted as zero: with three quarters hidden it is 0.75 times the mean over hidden pixels.
    That balance with the other two losses is part of the published recipe.

    Deviation: the official code accepts ``norm_pix_loss`` and ignores it (quirk Q12); here ``norm_pix`` works.

    Args:
        patch_size: side of a patch in pixels.
        norm_pix: normalize the target per patch (over pixels and channels) by its mean and standard deviation. The
            reconstruction then has these units and is no image anymore.
    """

    def __init__(self, patch_size: int = 16, *, norm_pix: bool = False) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.norm_pix = norm_pix

    def forward(self, reconstruction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compare a reconstruction with its target.

        Args:
            reconstruction: [B, C, H, W].
            target: [B, C, H, W].
            mask: 1 where a patch was hidden, 0 where visible, in grid order, [B, N].

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: if the shapes do not fit.
        """
        batch, channels, height, width = target.shape
        p = self.patch_size
        rows, columns = height // p, width // p
        if reconstruction.shape != target.shape or mask.shape != (batch, rows * columns):
            raise ValueError(
                f"shapes do not fit: reconstruction {tuple(reconstruction.shape)}, target {tuple(target.shape)}, "
                f"mask {tuple(mask.shape)} with patches of {p} pixels"
            )
        patches = (batch, channels, rows, p, columns, p)
        target = target.float().reshape(patches)
        if self.norm_pix:
            variance, mean = torch.var_mean(target, dim=(1, 3, 5), keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        error = (reconstruction.float().reshape(patches) - target).square()
        return (error * mask.float().reshape(batch, 1, rows, 1, columns, 1)).mean()
