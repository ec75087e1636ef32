# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The objective of DCXFM's second stage: masks of the classes that are known."""

from __future__ import annotations

from collections.abc import Callable

import torch

from radbundles.losses.dense import DenseLoss
from radbundles.losses.segmentation_objective import SegmentationObjective
from radbundles.networks import DCXFMDense


class DCXFMDenseObjective(SegmentationObjective):
    """Dice and focal loss of the maps that image tower and aggregator make for the prompts of the classes.

    Source: DCXFM, stage 2; official segmentation code. Image tower and aggregator are trained, batch normalization by
    the statistics of the batch.

    Deviations: the frozen text tower stays in eval mode, where the official code has its dropout add noise to the
    prompts (quirk Q13), and ``prompts`` may encode them once, not twice as many in every step (quirk Q14). Teacher
    and heads of stage 1 have no part (quirk Q35).

    Args:
        network: images [B, C, S, S] and prompts [T, P, D] to logits [B, T, S, S]; frozen as said here.
        prompts: gives the prompts of all classes, such as
            :class:`radbundles.components.zero_shot.ClassPrompts`.
        loss: default ``DenseLoss()``.
        train_text: train the text tower too; ``prompts`` must encode them with a gradient then.
    """

    network: DCXFMDense

    def __init__(
        self,
        network: DCXFMDense,
        *,
        prompts: Callable[[], torch.Tensor],
        loss: DenseLoss | None = None,
        train_text: bool = False,
    ) -> None:
        super().__init__(network, loss)
        self.prompts = prompts
        self.train_text = train_text
        if not train_text:
            network.text.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DCXFMDenseObjective:
        """Set the mode of all but a frozen text tower, which stays in eval mode."""
        super().train(mode)
        if not self.train_text:
            self.network.text.eval()
        return self

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, T, S, S] of images [B, C, S, S] for the classes of the prompts.

        Raises:
            RuntimeError: if the text tower is to be trained and the prompts have no gradient.
        """
        prompts = self.prompts()  # [T, P, D]
        if self.train_text and torch.is_grad_enabled() and not prompts.requires_grad:
            raise RuntimeError("train_text needs prompts with a gradient: give ClassPrompts train_text=True as well")
        return self.network(image, prompts)
