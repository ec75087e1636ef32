# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds for classification, chosen on validation data."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radbundles.components.metrics.outcomes import Outcomes, known_outcomes

__all__ = ["choose_thresholds"]


def choose_thresholds(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """For each class the threshold of the largest Matthews correlation; positive is a score at or above it.

    Choose them on the validation set, never on the data that are then scored. Candidates are the scores that occur: the
    thresholds of the ROC curve without its first, at which nothing is positive. Of several equally good ones the
    highest is taken.

    Args:
        scores: [N, K].
        labels: [N, K], 1 present, 0 absent, -1 unknown, which is left out class by class.

    Returns:
        float64 [K], ``nan`` for a class without both outcomes.

    Raises:
        ValueError: shapes that differ or are empty, scores that are not finite, or other labels.
    """
    return np.array([_best_threshold(outcomes) for outcomes in known_outcomes(scores, labels)])


def _best_threshold(outcomes: Outcomes) -> float:
    if outcomes.one_sided:
        return np.nan
    order = np.argsort(-outcomes.scores, kind="stable")
    ranked, positive = outcomes.scores[order], outcomes.positive[order]
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))  # last of each run of equal scores
    total, P = len(ranked), int(positive.sum())
    called = ends + 1.0  # called positive at each candidate
    hits = np.cumsum(positive)[ends].astype(np.float64)
    # MCC = (hits * total - called * P) / sqrt(called (total - called) P (total - P)); at the lowest score all are
    # called positive, which correlates with nothing.
    spread = np.sqrt(called * (total - called) * P * (total - P))
    mcc = np.divide(hits * total - called * P, spread, out=np.zeros_like(hits), where=spread > 0)
    return float(ranked[ends[np.argmax(mcc)]])
