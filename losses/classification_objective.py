# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A classifier and its loss as one module that takes a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class ClassificationObjective(nn.Module):
    """Train any classifier of images on the batches of labels that may be unknown.

    Args:
        network: images [B, C, S, S] -> logits [B, K].
        loss: of logits and labels, :class:`MultiLabelLoss` or :class:`MultiClassLoss`.
    """

    def __init__(self, network: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Run the network on a batch and score it.

        Args:
            batch: ``image`` [B, C, S, S] and ``labels`` [B, K]: 1 present, 0 absent, -1 unknown.

        Returns:
            ``loss``; in eval mode also ``logits`` [B, K].
        """
        logits = self.network(batch["image"])
        result = {"loss": self.loss(logits, batch["labels"])}
        return result if self.training else {**result, "logits": logits}
