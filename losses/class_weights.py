# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that make rare classes count as much as frequent ones."""

from __future__ import annotations

from typing import Any, Literal

import torch


def class_weights(labels: Any, task: Literal["multilabel", "multiclass"], *, cap: float = 20.0) -> list[float]:
    """Balance the classes of a training section.

    With several labels a sample, a class gets its known negatives over its positives, for
    :class:`MultiLabelLoss(pos_weight=...) <MultiLabelLoss>`. With one class a sample it gets what is inverse to its
    number of samples, scaled so that the mean over the classes is 1, for
    :class:`MultiClassLoss(weight=...) <MultiClassLoss>`. A class that has no samples, or with several labels no
    negatives, gets 1.

    Args:
        labels: 1 present, 0 absent, -1 unknown, [N, K]; a tensor or an array.
        task: "multilabel", or "multiclass" where rows without exactly one 1 are unknown.
        cap: bound of the ratio of two numbers of samples, so that a handful of samples does not rule the training.

    Returns:
        K weights.

    Raises:
        ValueError: if the labels are no matrix, the task is neither or the cap is below 1.
    """
    labels = torch.as_tensor(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels must be [N, K], got {tuple(labels.shape)}")
    if not cap >= 1:
        raise ValueError(f"cap must be 1 or more, got {cap}")
    positives = (labels == 1).sum(0).double()  # [K]
    if task == "multilabel":
        negatives = (labels == 0).sum(0).double()
        usable = (positives > 0) & (negatives > 0)
        return (negatives / positives).clamp(1 / cap, cap).where(usable, 1.0).tolist()
    if task != "multiclass":
        raise ValueError(f'task must be "multilabel" or "multiclass", got {task!r}')
    positives = (labels[(labels == 1).sum(1) == 1] == 1).sum(0).double()
    if not positives.any():
        return [1.0] * len(positives)
    weights = (positives.max() / positives).clamp(max=cap)
    return (weights / weights[positives > 0].mean()).where(positives > 0, 1.0).tolist()
