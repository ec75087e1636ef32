# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masked language modeling with a weight per token."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.all_processes import sum_over_processes


class RebalancedMLMLoss(nn.Module):
    """Cross-entropy of the predicted words, weighted token by token.

    Source: ECAMP, "entity-aware re-balanced factor"; the weights are made by the text transforms.

    Deviation: the official code averages over every position, padding and visible words included (quirk Q10), so
    that short reports are dominated by trivially easy terms. Here the mean of weight times cross-entropy runs over the
    masked positions, in training on several processes over those of all; ``positions="all"`` gives the official value.

    Args:
        positions: "masked", or "all" for the official loss.
        rebalance: False gives every token the weight 1, to see what the factor does, or where there is little text and
            time: the weights take most of the early signal from the frequent, easy words.

    Raises:
        ValueError: if positions is neither.
    """

    def __init__(self, positions: Literal["masked", "all"] = "masked", *, rebalance: bool = True) -> None:
        super().__init__()
        if positions not in ("masked", "all"):
            raise ValueError(f'positions must be "masked" or "all", got {positions!r}')
        self.positions = positions
        self.rebalance = rebalance

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, masked: torch.Tensor
    ) -> torch.Tensor:
        """Compare predicted words with the un-masked ones.

        Args:
            logits: [B, L, V], or for "masked" also [n, V] at the n true entries of masked in row-major order.
            labels: un-masked token ids [B, L].
            weights: weight of each token [B, L].
            masked: True where the input was masked, [B, L] bool; not used by "all".

        Returns:
            The loss, a scalar; zero if nothing is masked.

        Raises:
            ValueError: if the shapes do not fit.
        """
        if labels.shape != weights.shape or labels.shape != masked.shape:
            raise ValueError(
                "labels, weights and masked must have one shape, got "
                f"{tuple(labels.shape)}, {tuple(weights.shape)} and {tuple(masked.shape)}"
            )
        if self.positions == "masked":
            if logits.ndim == 3:
                logits = logits[masked]
            labels, weights = labels[masked], weights[masked]
        if logits.shape[:-1] != labels.shape:
            raise ValueError(f"logits {tuple(logits.shape)} do not fit the {tuple(labels.shape)} labels to predict")
        error = F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), reduction="none")
        if self.rebalance:
            error = weights.flatten() * error
        count = sum_over_processes(error.new_tensor(labels.numel()))
        return sum_over_processes(error.sum()) / count.clamp(min=1)
