# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds of the largest Matthews correlation, against a search over all candidates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radbundles.components.metrics import choose_thresholds


def mcc(predicted: np.ndarray, positive: np.ndarray) -> float:
    """Correlation of two columns of zeros and ones, 0 where one is constant."""
    if predicted.all() or not predicted.any():
        return 0.0
    return float(np.corrcoef(predicted, positive)[0, 1])


def test_no_other_threshold_is_better() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 2, size=(200, 5))
    scores = np.round(generator.normal(size=(200, 5)) + labels, 1)  # with ties
    chosen = choose_thresholds(scores, labels)
    for k in range(5):
        known = labels[:, k] >= 0
        column, positive = scores[known, k], labels[known, k] == 1
        values = {cut: mcc(column >= cut, positive) for cut in np.unique(column)}
        best = max(values.values())
        assert best > 0.3
        assert chosen[k] == max(cut for cut, value in values.items() if value > best - 1e-12)


def test_case_worked_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1])[:, None]
    assert choose_thresholds(scores, [[1], [1], [0], [0], [0]]).tolist() == [0.8]
    # A sample of unknown label is no candidate, and sways nothing.
    assert choose_thresholds(scores, [[1], [-1], [1], [0], [0]]).tolist() == [0.7]


def test_class_with_one_outcome_has_no_threshold() -> None:
    chosen = choose_thresholds(np.arange(6.0).reshape(3, 2), [[1, 1], [1, 0], [-1, 0]])
    assert math.isnan(chosen[0]) and chosen[1] == 1.0


def test_score_that_is_worse_than_none_calls_everything_positive() -> None:
    # Every cut correlates negatively but the lowest, at which all are positive.
    assert choose_thresholds([[3.0], [2.0], [1.0]], [[0], [0], [1]]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.1], [math.nan]], [[1], [0]], "sample 1, class 0 is not a finite"),
        ([[0.1], [0.2]], [[1], [2]], "sample 1, class 0 is 2"),
        ([[0.1], [0.2]], [[1, 0], [1, 0]], r"got \[2, 1\] and \[2, 2\]"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one entry"),
    ],
)
def test_wrong_tables_are_refused(scores: object, labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_thresholds(scores, labels)  # type: ignore[arg-type]
