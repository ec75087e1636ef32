# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A segmentation network and its loss as one module that takes a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from radbundles.losses.dense import DenseLoss


class SegmentationObjective(nn.Module):
    """Train any network of images, such as MONAI's U-Net, on the batches and with the loss of dense prediction.

    Args:
        network: images [B, C, S, S] -> logits [B, T, S, S].
        loss: of logits, masks and labels; :class:`DenseLoss` by default.
    """

    def __init__(self, network: nn.Module, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network
        self.loss = loss or DenseLoss()

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, T, S, S] of images [B, C, S, S]."""
        return self.network(image)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Run the network on a batch and score it.

        Args:
            batch: ``image`` [B, C, S, S], ``masks`` [B, T, S, S], ``labels`` [B, T].

        Returns:
            ``loss`` and its parts ``dice`` and ``focal``; in eval mode also ``logits`` [B, T, S, S].
        """
        logits = self.predict(batch["image"])
        result: dict[str, torch.Tensor] = self.loss(logits, batch["masks"], batch["labels"])
        return result if self.training else {**result, "logits": logits}
