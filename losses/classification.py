# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of labels of which some may be unknown; in training on several processes, of the batches of all together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.all_processes import sum_over_processes


class MultiLabelLoss(nn.Module):
    """Binary cross-entropy of independent classes, averaged over the entries that are known.

    Source: fine-tuning of ECAMP (``BCEWithLogitsLoss``), which knows no unknown labels. Here they enter neither the
    value nor the gradient, whatever their logits are, NaN included. A batch in which nothing is known has the loss 0
    and the gradient 0.

    Args:
        pos_weight: factor of the positives of each class, for example of :func:`class_weights`; by default 1.

    Raises:
        ValueError: if a weight is negative.
    """

    pos_weight: torch.Tensor | None

    def __init__(self, *, pos_weight: Sequence[float] | None = None) -> None:
        super().__init__()
        self.register_buffer("pos_weight", _weights("pos_weight", pos_weight), persistent=False)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compare logits [B, K] with labels [B, K]: 1 present, 0 absent, -1 unknown.

        Returns:
            A scalar in float32.

        Raises:
            ValueError: if the shapes do not fit or a label is none of the three.
        """
        _check(logits, labels, self.pos_weight)
        known = labels >= 0
        # The logits are replaced before the loss: 0 times NaN would be NaN in the gradient.
        each = F.binary_cross_entropy_with_logits(
            logits.float().where(known, 0.0), (labels == 1).float(), pos_weight=self.pos_weight, reduction="none"
        )
        return sum_over_processes(each.where(known, 0.0).sum()) / sum_over_processes(known.sum()).clamp(min=1)


class MultiClassLoss(nn.Module):
    """Cross-entropy of classes that exclude each other, averaged over the samples whose class is known.

    Source: fine-tuning of ECAMP (``CrossEntropyLoss``, for COVIDx and APTOS). A sample is known if exactly one of its
    labels is 1; the others enter neither the value nor the gradient. With weights the mean is weighted, as PyTorch's.

    Args:
        weight: of each class, for example of :func:`class_weights`; by default 1.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: if a weight is negative or the smoothing out of range.
    """

    weight: torch.Tensor | None

    def __init__(self, *, weight: Sequence[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", _weights("weight", weight), persistent=False)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compare logits [B, K] with labels [B, K], in a known row of which one is 1.

        Returns:
            A scalar in float32.

        Raises:
            ValueError: if the shapes do not fit or a label is none of 1, 0 and -1.
        """
        _check(logits, labels, self.weight)
        known = (labels == 1).sum(1) == 1  # [B]
        target = (labels == 1).int().argmax(1)
        each = F.cross_entropy(
            logits.float().where(known[:, None], 0.0),
            target,
            weight=self.weight,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        weight = known.float() if self.weight is None else self.weight[target] * known
        total = sum_over_processes(weight.sum()).clamp(min=torch.finfo(torch.float32).tiny)
        return sum_over_processes(each.where(known, 0.0).sum()) / total


def _weights(name: str, values: Sequence[float] | None) -> torch.Tensor | None:
    if values is None:
        return None
    if any(not value >= 0 for value in values):
        raise ValueError(f"{name} must not be negative, got {list(values)}")
    return torch.tensor([float(value) for value in values])


def _check(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must both be [B, K]")
    if weights is not None and len(weights) != logits.shape[1]:
        raise ValueError(f"there are {len(weights)} weights for {logits.shape[1]} classes")
    if strange := set(labels.unique().tolist()) - {-1, 0, 1}:
        raise ValueError(f"labels must be 1, 0 or -1, got {sorted(strange)}")
