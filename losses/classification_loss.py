# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss that a classification task asks for, by its name."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from radbundles.losses.class_weights import class_weights
from radbundles.losses.classification import MultiClassLoss, MultiLabelLoss


def classification_loss(
    task: Literal["multilabel", "multiclass"], *, labels: NDArray[np.int8] | None = None, label_smoothing: float = 0.0
) -> nn.Module:
    """Make the loss of a task, so that a configuration need only name the task.

    Args:
        task: ``multilabel`` (:class:`~radbundles.losses.MultiLabelLoss`) or ``multiclass``
            (:class:`~radbundles.losses.MultiClassLoss`).
        labels: of the training section, [N, K], to weigh rare classes by :func:`~radbundles.losses.class_weights`;
            None weighs all alike.
        label_smoothing: for ``multiclass``.

    Raises:
        ValueError: if the task is neither, or label smoothing is asked for independent classes.
    """
    if task not in ("multilabel", "multiclass"):
        raise ValueError(f"task must be 'multilabel' or 'multiclass', got {task!r}")
    weights = None if labels is None else class_weights(labels, task)
    if task == "multiclass":
        return MultiClassLoss(weight=weights, label_smoothing=label_smoothing)
    if label_smoothing:
        raise ValueError(f"label_smoothing={label_smoothing} is for the task multiclass")
    return MultiLabelLoss(pos_weight=weights)
