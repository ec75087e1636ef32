# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Dice of the classes that are there, while a dense network is trained."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import compute_dice
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.mean import EpochMean

__all__ = ["PresentDice"]


class PresentDice(EpochMean):
    """Mean Dice over all pairs of image and class whose mask has pixels, at a score of 0.5, in the fitted square.

    Made for the validations of a training, on what :class:`~radbundles.losses.DCXFMDenseObjective` returns in eval
    mode: ``logits`` [B, T, S, S], and ``masks`` and ``labels`` of its batch. Classes that are absent or unknown take no
    part; judge a trained model by ``evaluate.json``, whose scores have intervals.

    Args:
        device: where the sums are kept.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        def output_transform(output: Any) -> tuple[torch.Tensor, torch.Tensor]:
            batch, logits = output[Keys.IMAGE], output[Keys.PRED]["logits"]
            dice = compute_dice(logits > 0, batch["masks"] != 0, ignore_empty=True)  # [B, T], nan where empty
            counted = (batch["labels"] == 1) & ~dice.isnan()
            return dice[counted].sum(), counted.sum()

        super().__init__(output_transform, device)
