# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice and focal loss of the classes that are known."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from radbundles.losses.dense_sums import dense_sums
from radbundles.networks.all_processes import sum_over_processes


class DenseLoss(nn.Module):
    """Dice and focal loss over the classes of an image that are known; what is unknown teaches nothing.

    With p = sigmoid(x) and the target t, which is the mask of a class that is present and zero for one that is absent::

        dice  = 1 - 2 sum(p t) / (sum(p) + sum(t)), and 0 where sum(t) = 0
        focal = mean((1 - e^-ce)^gamma ce), with the binary cross-entropy ce

    Both are averaged over the images that have a known class, in training on several processes over those of all. A
    batch of no such image has the loss 0 and the gradient 0.

    Source: DCXFM, stage 2: all known classes of an image are one vector of pixels to the Dice loss, so that large
    findings outweigh small ones (quirk Q33); ``dice="per_class"`` gives each class that has pixels the same weight.
    The focal loss is the same either way.

    For known classes the values are those of MONAI's ``DiceLoss(sigmoid=True, smooth_nr=0, smooth_dr=1e-7)`` and
    ``FocalLoss(gamma=2)``, called on each image with what is known of it. They are not called here since they keep
    the result of each of some twenty steps over all pixels: 4 x 14 maps of 512 x 512 pixels take twice the time and
    eight times the memory on a CPU.

    Args:
        dice: "joint" (official), or "per_class" for the mean over the known classes of an image that have pixels.
        dice_weight: weight of dice in the loss.
        focal_weight: weight of focal in the loss.
        gamma: exponent of the focal loss; 0 makes it binary cross-entropy.

    Raises:
        ValueError: if dice is neither, a weight or gamma is negative, or both weights are 0.
    """

    def __init__(
        self,
        *,
        dice: Literal["joint", "per_class"] = "joint",
        dice_weight: float = 1.0,
        focal_weight: float = 1.0,
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        if dice not in ("joint", "per_class"):
            raise ValueError(f'dice must be "joint" or "per_class", got {dice!r}')
        if min(dice_weight, focal_weight) < 0 or dice_weight == focal_weight == 0:
            raise ValueError(f"weights must not be negative, nor both 0, got {dice_weight} and {focal_weight}")
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.dice, self.dice_weight, self.focal_weight, self.gamma = dice, dice_weight, focal_weight, gamma

    def forward(self, logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare maps with masks.

        Args:
            logits: [B, T, H, W]; those of unknown classes may be anything, also NaN.
            masks: nonzero inside, [B, T, H, W] of any dtype; not read where a class is absent or unknown.
            labels: 1 present, 0 absent, -1 unknown, [B, T].

        Returns:
            ``loss`` and its parts ``dice`` and ``focal`` before weighting, scalars in float32.

        Raises:
            ValueError: if the shapes do not fit or a label is none of the three.
        """
        if logits.ndim != 4 or masks.shape != logits.shape or labels.shape != logits.shape[:2]:
            raise ValueError(
                f"logits {tuple(logits.shape)}, masks {tuple(masks.shape)} and labels {tuple(labels.shape)} must be "
                "[B, T, H, W] twice and [B, T]"
            )
        if strange := set(labels.unique().tolist()) - {-1, 0, 1}:
            raise ValueError(f"labels must be 1, 0 or -1, got {sorted(strange)}")
        known = labels >= 0  # [B, T]
        images = sum_over_processes(known.any(1).sum()).clamp(min=1)  # that have a known class
        sums = dense_sums(logits, masks, labels, self.gamma)  # each [B, T]
        overlap, area = sums.overlap, sums.predicted + sums.inside
        inside = sums.inside
        if self.dice == "joint":
            overlap, area, inside = (part.sum(1, keepdim=True) for part in (overlap, area, inside))  # each [B, 1]
        counts = inside > 0
        dice = (1 - 2 * overlap / area.clamp(min=1e-7)).where(counts, 0.0).sum(1) / counts.sum(1).clamp(min=1)  # [B]
        focal = sums.focal.sum(1) / (known.sum(1).clamp(min=1) * logits.shape[2:].numel())  # [B]
        means = sum_over_processes(torch.stack([dice.sum(), focal.sum()])) / images
        parts = {"dice": means[0], "focal": means[1]}
        return {"loss": self.dice_weight * parts["dice"] + self.focal_weight * parts["focal"], **parts}
