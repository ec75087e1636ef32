# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Classification scores of many weightings of the same samples at once; the estimate is the weighting with ones.

A resample of the bootstrap is a weighting: each sample counts as often as it was drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.metrics.weighted import run_sums

__all__ = ["weighted_average_precision", "weighted_confusion", "weighted_cut_scores", "weighted_multiclass_scores"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def weighted_average_precision(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """Area under the precision-recall curve as the sum of precision times gained recall, without interpolation.

    Args:
        scores: [N].
        positive: [N].
        weights: [R, N], not negative.

    Returns:
        [R], ``nan`` where positives or negatives weigh nothing: without negatives it says nothing, and is 1.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))  # first of each run of equal scores
    weights = weights[:, order]
    gained = run_sums(weights * positive[order], starts)  # [R, runs]
    called = np.cumsum(run_sums(weights, starts), axis=1)
    hits = np.cumsum(gained, axis=1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    P = hits[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((P > 0) & (called[:, -1] > P), (gained * precision).sum(1) / P, np.nan)


def weighted_cut_scores(called: Bools, positive: Bools, weights: Floats) -> dict[str, Floats]:
    """What a yes-or-no call is worth.

    Args:
        called: [N] called positive.
        positive: [N].
        weights: [R, N], not negative.

    Returns:
        ``sensitivity``, ``specificity``, ``ppv``, ``npv``, ``f1``, ``mcc`` and ``balanced_accuracy``, each [R]. A
        score is ``nan`` where what it divides by weighs nothing, and all but the first two where there are not both
        outcomes. MCC is 0 where all samples are called alike.
    """
    cells = np.stack([called & positive, ~called & ~positive, called & ~positive, ~called & positive], axis=1)
    tp, tn, fp, fn = (weights @ cells.astype(np.float64)).T  # [R] each
    both = (tp + fn > 0) & (tn + fp > 0)
    product = (tp + fp) * (tn + fn) * (tp + fn) * (tn + fp)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        mcc = np.where(product > 0, (tp * tn - fp * fn) / np.sqrt(product), 0)
        return {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": np.where(both, tp / (tp + fp), np.nan),
            "npv": np.where(both, tn / (tn + fn), np.nan),
            "f1": np.where(both, 2 * tp / (2 * tp + fp + fn), np.nan),
            "mcc": np.where(both, mcc, np.nan),
            "balanced_accuracy": (sensitivity + specificity) / 2,
        }


def weighted_confusion(called: NDArray[np.intp], truth: NDArray[np.intp], classes: int, weights: Floats) -> Floats:
    """Confusion matrices, rows what is true and columns what was called.

    Args:
        called: [N] numbers of classes.
        truth: [N] likewise.
        classes: their number K.
        weights: [R, N].

    Returns:
        [R, K, K].
    """
    cell = truth * classes + called
    member = (cell[:, None] == np.arange(classes**2)).astype(np.float64)
    return np.asarray(weights @ member).reshape(len(weights), classes, classes)


def weighted_multiclass_scores(confusion: Floats, *, ordinal: bool = False) -> dict[str, Floats]:
    """What a choice among classes is worth.

    Args:
        confusion: [R, K, K] of :func:`weighted_confusion`.
        ordinal: the classes are in an order, e.g. grades: add ``kappa_quadratic``, in which a call two grades off
            weighs four times one that is one grade off.

    Returns:
        ``accuracy``, ``balanced_accuracy`` (mean sensitivity of the classes that occur), ``kappa`` (Cohen) and ``mcc``
        (Gorodkin's R_K), each [R]. Where all calls and truths are one class, kappa is ``nan`` and MCC 0.
    """
    K = confusion.shape[1]
    total = confusion.sum((1, 2))
    true, called, right = confusion.sum(2), confusion.sum(1), np.trace(confusion, axis1=1, axis2=2)  # [R, K] x 2, [R]
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = np.diagonal(confusion, axis1=1, axis2=2) / true
        occurs = true > 0
        balanced = np.where(occurs, sensitivity, 0).sum(1) / occurs.sum(1)
        spread = np.sqrt((total**2 - (called**2).sum(1)) * (total**2 - (true**2).sum(1)))
        mcc = np.where(spread > 0, (right * total - (called * true).sum(1)) / spread, 0)
        scores = {
            "accuracy": right / total,
            "balanced_accuracy": balanced,
            "kappa": _kappa(confusion, 1 - np.eye(K)),
            "mcc": np.where(total > 0, mcc, np.nan),
        }
    if ordinal:
        grade = np.arange(K)
        scores["kappa_quadratic"] = _kappa(confusion, (grade[:, None] - grade) ** 2.0)
    return scores


def _kappa(confusion: Floats, cost: NDArray[Any]) -> Floats:
    """1 - cost of what was called / cost if calls and truths were drawn independently."""
    total = confusion.sum((1, 2))
    expected = np.einsum("ri,rj,ij->r", confusion.sum(2), confusion.sum(1), cost)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (confusion * cost).sum((1, 2)) * total / expected, np.nan)
