# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice of ECAMP's official segmentation, in which images without a place count."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.mean import EpochMean

__all__ = ["OfficialDice"]


class OfficialDice(EpochMean):
    """Mean Dice over all pairs of image and class at a score of 0.5, in the square that the network reads.

    Source: ECAMP, official segmentation code. An image without a place of the class scores 1 if nothing is predicted
    and 0 otherwise, so the many empty images of a set like SIIM-ACR weigh on the mean: compare it with published
    figures, and judge by :class:`PresentDice`, or in original pixels by
    :class:`~radbundles.components.evaluation.SegmentationEvaluator`. Deviation: what is unknown takes no part.

    Args:
        device: where the sums are kept.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        def output_transform(output: Any) -> tuple[torch.Tensor, torch.Tensor]:
            batch = output[Keys.IMAGE]
            truth, predicted = (batch["masks"] > 0.5).flatten(2), (output[Keys.PRED]["logits"] > 0).flatten(2)
            T, P, both = (part.sum(-1).double() for part in (truth, predicted, truth & predicted))  # [B, K] each
            dice = torch.where(T > 0, 2 * both / (T + P).clamp_min(1), (P == 0).double())
            known = batch["labels"] >= 0
            return dice[known].sum(), known.sum()

        super().__init__(output_transform, device)
