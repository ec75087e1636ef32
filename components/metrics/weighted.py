# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Binary classification scores of many weightings of the same samples at once, for the bootstrap.

A resample is a weighting: each sample counts as often as it was drawn. The samples are then sorted, compared with the
threshold and grouped by ties once instead of once a resample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["run_sums", "weighted_auroc", "weighted_confusion_scores"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def run_sums(values: Floats, starts: NDArray[np.intp]) -> Floats:
    """Sums of values [R, N] over runs that begin at these places -> [R, runs]."""
    # Where no scores are equal, which is common, there is nothing to add up, and adding takes most of the time.
    return values if len(starts) == values.shape[1] else np.add.reduceat(values, starts, axis=1)


def weighted_auroc(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

    Args:
        scores: [N].
        positive: [N].
        weights: [R, N], not negative.

    Returns:
        [R], ``nan`` where positives or negatives weigh nothing.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))  # first of each run of equal scores
    weights = weights[:, order]
    positives = run_sums(weights * positive[order], starts)  # [R, runs]
    negatives = run_sums(weights, starts) - positives
    below = np.cumsum(negatives, axis=1) - negatives / 2  # negatives below each run, and half of its own
    pairs = positives.sum(1) * negatives.sum(1)
    with np.errstate(invalid="ignore"):
        return (positives * below).sum(1) / pairs


def weighted_confusion_scores(predicted: Bools, positive: Bools, weights: Floats) -> dict[str, Floats]:
    """Scores of one cut: ``mcc``, ``f1`` (mean over the two outcomes) and ``accuracy``.

    MCC is 0 where everything is predicted alike.

    Args:
        predicted: [N].
        positive: [N].
        weights: [R, N], not negative.

    Returns:
        Three arrays [R], ``nan`` where positives or negatives weigh nothing.
    """
    cells = np.stack([predicted & positive, ~predicted & ~positive, predicted & ~positive, ~predicted & positive], 1)
    tp, tn, fp, fn = (weights @ cells.astype(np.float64)).T  # [R] each
    both = (tp + fn > 0) & (tn + fp > 0)
    product = (tp + fp) * (tn + fn) * (tp + fn) * (tn + fp)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "mcc": np.where(product > 0, (tp * tn - fp * fn) / np.sqrt(product), 0),
            "f1": (2 * tp / (2 * tp + fp + fn) + 2 * tn / (2 * tn + fp + fn)) / 2,
            "accuracy": (tp + tn) / (tp + tn + fp + fn),
        }
    return {name: np.where(both, value, np.nan) for name, value in values.items()}
