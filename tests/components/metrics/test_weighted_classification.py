# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weighted classification scores against scikit-learn, with weights, ties and classes that are absent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radbundles.components.metrics.weighted import weighted_auroc
from radbundles.components.metrics.weighted_classification import (
    weighted_average_precision,
    weighted_confusion,
    weighted_cut_scores,
    weighted_multiclass_scores,
)

sklearn: Any = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, size: int = 60) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Scores with many ties, outcomes, and weights of five resamples, some of them zero."""
    random = np.random.default_rng(seed)
    positive = random.random(size) < 0.3
    scores = np.round(random.normal(size=size) + positive, 1)
    return scores, positive, random.integers(0, 4, (5, size)).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_scores_equal_scikit_learn(seed: int) -> None:
    scores, positive, weights = drawn(seed)
    for found, reference in (
        (weighted_auroc(scores, positive, weights), sklearn.roc_auc_score),
        (weighted_average_precision(scores, positive, weights), sklearn.average_precision_score),
    ):
        wanted = [reference(positive, scores, sample_weight=weight) for weight in weights]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_constant_scores_rank_by_chance() -> None:
    positive, weights = np.array([True, False, False, False]), np.ones((1, 4))
    assert weighted_auroc(np.zeros(4), positive, weights)[0] == 0.5
    assert weighted_average_precision(np.zeros(4), positive, weights)[0] == 0.25


@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_has_no_ranking_score(outcome: bool) -> None:
    scores, weights = np.arange(3.0), np.ones((1, 3))
    assert math.isnan(weighted_average_precision(scores, np.full(3, outcome), weights)[0])
    assert math.isnan(weighted_auroc(scores, np.full(3, outcome), weights)[0])


@pytest.mark.parametrize("seed", range(5))
def test_cut_scores_equal_scikit_learn(seed: int) -> None:
    scores, positive, weights = drawn(seed)
    called = scores > 0.5
    found = weighted_cut_scores(called, positive, weights)
    for r, weight in enumerate(weights):
        drawn_with: dict[str, Any] = {"sample_weight": weight}
        wanted = {
            "sensitivity": sklearn.recall_score(positive, called, **drawn_with),
            "specificity": sklearn.recall_score(~positive, ~called, **drawn_with),
            "ppv": sklearn.precision_score(positive, called, **drawn_with),
            "npv": sklearn.precision_score(~positive, ~called, **drawn_with),
            "f1": sklearn.f1_score(positive, called, **drawn_with),
            "mcc": sklearn.matthews_corrcoef(positive, called, **drawn_with),
            "balanced_accuracy": sklearn.balanced_accuracy_score(positive, called, **drawn_with),
        }
        assert {name: value[r] for name, value in found.items()} == pytest.approx(wanted, rel=1e-12)


def test_cut_scores_that_divide_by_nothing_are_nan() -> None:
    weights = np.ones((1, 3))
    absent = weighted_cut_scores(np.array([True, False, False]), np.zeros(3, bool), weights)
    assert absent.pop("specificity")[0] == pytest.approx(2 / 3)
    assert all(math.isnan(value[0]) for value in absent.values())
    silent = weighted_cut_scores(np.zeros(3, bool), np.array([True, False, False]), weights)
    assert math.isnan(silent["ppv"][0]) and silent["mcc"][0] == 0 == silent["f1"][0]
    assert silent["balanced_accuracy"][0] == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_multiclass_scores_equal_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, 50)  # of five classes the last does not occur
    called = np.where(random.random(50) < 0.5, truth, random.integers(0, 5, 50))
    weights = random.integers(0, 4, (5, 50)).astype(float)
    confusion = weighted_confusion(called, truth, 5, weights)
    found = weighted_multiclass_scores(confusion, ordinal=True)
    for r, weight in enumerate(weights):
        drawn_with: dict[str, Any] = {"sample_weight": weight}
        np.testing.assert_array_equal(
            confusion[r], sklearn.confusion_matrix(truth, called, labels=range(5), **drawn_with)
        )
        kept = weight > 0  # scikit-learn warns of calls of a class that weighs nothing
        true_classes = np.unique(truth[kept])
        wanted = {
            "accuracy": sklearn.accuracy_score(truth, called, **drawn_with),
            "balanced_accuracy": sklearn.recall_score(
                truth, called, labels=true_classes, average="macro", **drawn_with
            ),
            "kappa": sklearn.cohen_kappa_score(truth, called, **drawn_with),
            "kappa_quadratic": sklearn.cohen_kappa_score(truth, called, weights="quadratic", **drawn_with),
            "mcc": sklearn.matthews_corrcoef(truth, called, **drawn_with),
        }
        assert {name: value[r] for name, value in found.items()} == pytest.approx(wanted, rel=1e-12)


def test_choice_that_is_always_the_same_is_worth_nothing() -> None:
    truth = np.array([0, 0, 1, 2])
    found = weighted_multiclass_scores(weighted_confusion(np.zeros(4, int), truth, 3, np.ones((1, 4))), ordinal=True)
    assert found["accuracy"][0] == 0.5 and found["balanced_accuracy"][0] == pytest.approx(1 / 3)
    assert found["mcc"][0] == 0 and found["kappa"][0] == 0 and found["kappa_quadratic"][0] == 0


def test_quadratic_kappa_is_asked_for() -> None:
    assert "kappa_quadratic" not in weighted_multiclass_scores(np.eye(3)[None])
