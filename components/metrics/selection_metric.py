# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The number by which a training of a classifier keeps its best weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.metrics import Metric
from numpy.typing import NDArray

from radbundles.components.metrics.classification_metric import SCORES, ClassificationMetric
from radbundles.components.metrics.losses import LossAverage

__all__ = ["NegativeLoss", "selection_metric"]


class NegativeLoss(LossAverage):
    """The average loss with its sign changed, so that more is better, as an evaluator's key metric wants it."""

    def compute(self) -> float:
        """Return the negative average."""
        return -float(super().compute())


def selection_metric(
    selection: str, *, labels: Sequence[Sequence[int]] | NDArray[Any], device: str | torch.device = "cpu"
) -> Metric:
    """Make the key metric of a classifier's validations.

    Args:
        selection: a score of :class:`~radbundles.components.metrics.ClassificationMetric`, or ``loss``, which is
            defined on every section and steadier on a small one.
        labels: [N, K] of the validation section, on which the score must be defined.
        device: where the sums of the loss are kept.

    Raises:
        ValueError: another name, or labels on which the score is not defined.
    """
    if selection == "loss":
        return NegativeLoss("loss", device=device)
    if selection not in SCORES:
        raise ValueError(f"selection must be one of {', '.join((*SCORES, 'loss'))}, got {selection!r}")
    return ClassificationMetric(selection, labels=labels)
