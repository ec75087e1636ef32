# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Focal loss and logarithm of the soft Dice of a batch."""

from __future__ import annotations

import torch
from torch import nn

from radbundles.losses.dense_sums import dense_sums
from radbundles.networks.all_processes import sum_over_processes


class ECAMPSegmentationLoss(nn.Module):
    """Ten times the focal loss, less the logarithm of the soft Dice, for each structure over the whole batch.

    With p = sigmoid(x), the target t and the binary cross-entropy ce, sums and means over all pixels of the images of
    which the structure is known::

        focal = mean((1 - e^-ce)^gamma ce)        dice = -ln((2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth))

    averaged over the structures; the batch is that of all processes where several train. Source: segmentation of ECAMP,
    its loss "mixed"; the mean over structures is that of optic disc and cup. What is unknown enters neither the value
    nor the gradient; a structure that no image of the batch knows does not count. With :class:`SegmentationObjective`
    it takes the place of :class:`DenseLoss`.

    Args:
        focal_weight: weight of focal in the loss.
        gamma: exponent of the focal loss.
        smooth: added above and below, so that empty masks have a logarithm; positive.

    Raises:
        ValueError: if a value is negative or smooth is 0.
    """

    def __init__(self, *, focal_weight: float = 10.0, gamma: float = 2.0, smooth: float = 1.0) -> None:
        super().__init__()
        if min(focal_weight, gamma) < 0 or smooth <= 0:
            raise ValueError(
                f"need focal_weight >= 0, gamma >= 0 and smooth > 0, got {focal_weight}, {gamma} and {smooth}"
            )
        self.focal_weight, self.gamma, self.smooth = focal_weight, gamma, smooth

    def forward(self, logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare maps with masks.

        Args:
            logits: [B, K, H, W]; those of unknown structures may be anything, also NaN.
            masks: nonzero inside, [B, K, H, W] of any dtype; not read where a structure is absent or unknown.
            labels: 1 present, 0 absent, -1 unknown, [B, K].

        Returns:
            ``loss`` and its parts ``focal`` and ``dice`` before weighting, scalars in float32.

        Raises:
            ValueError: if the shapes do not fit or a label is none of the three.
        """
        if logits.ndim != 4 or masks.shape != logits.shape or labels.shape != logits.shape[:2]:
            raise ValueError(
                f"logits {tuple(logits.shape)}, masks {tuple(masks.shape)} and labels {tuple(labels.shape)} must be "
                "[B, K, H, W] twice and [B, K]"
            )
        if strange := set(labels.unique().tolist()) - {-1, 0, 1}:
            raise ValueError(f"labels must be 1, 0 or -1, got {sorted(strange)}")
        sums = dense_sums(logits, masks, labels, self.gamma)  # each [B, K], 0 where unknown
        images = sum_over_processes((labels >= 0).sum(0))  # [K]
        structures = (images > 0).sum().clamp(min=1)
        area = (sums.predicted + sums.inside).sum(0)
        focal, overlap, area = sum_over_processes(torch.stack([sums.focal.sum(0), 2 * sums.overlap.sum(0), area]))
        focal = focal / (images.clamp(min=1) * logits.shape[2:].numel())  # [K]
        # Where nothing is known both sums are 0, the ratio is 1 and its logarithm 0.
        dice = -((overlap + self.smooth) / (area + self.smooth)).log()
        parts = {"focal": focal.sum() / structures, "dice": dice.sum() / structures}
        return {"loss": self.focal_weight * parts["focal"] + parts["dice"], **parts}
