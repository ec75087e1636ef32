# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration against scikit-learn, torchmetrics and a plain search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torchmetrics.functional.classification import binary_calibration_error

from radbundles.components.evaluation import (
    binary_temperature,
    calibrated_probabilities,
    fit_temperature,
    reliability,
    weighted_brier,
    weighted_ece,
)

sklearn: Any = pytest.importorskip("sklearn.metrics")


def drawn(seed: int = 0, size: int = 400, temperature: float = 3.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Logits that are too far from zero by a known factor, and outcomes."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=size) * 1.5
    return logits * temperature, random.random(size) < expit(logits)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_equals_torchmetrics(seed: int) -> None:
    logits, positive = drawn(seed)
    probability = expit(logits).astype(np.float32).astype(np.float64)
    found = weighted_ece(probability, positive, np.ones((1, len(positive))))[0]
    wanted = binary_calibration_error(torch.tensor(probability), torch.tensor(positive).long(), n_bins=15)
    assert found == pytest.approx(wanted.item(), rel=1e-5)


def test_probabilities_of_zero_and_one_lie_in_the_outer_bins() -> None:
    found = reliability(np.array([0.0, 1.0, 1.0, 0.5]), np.array([False, True, False, True]))
    assert found.count.tolist() == [1, *[0] * 6, 1, *[0] * 6, 2]
    assert found.observed[[0, 7, 14]].tolist() == [0, 1, 0.5] and np.isnan(found.observed[1])
    assert weighted_ece(np.array([0.0, 1.0]), np.array([False, True]), np.ones((1, 2)))[0] == 0


def test_weights_count_as_repeated_samples() -> None:
    logits, positive = drawn(size=50)
    times = np.random.default_rng(1).integers(0, 4, 50)
    probability, again = expit(logits), np.repeat(np.arange(50), times)
    for score in (weighted_ece, weighted_brier):
        found = score(probability, positive, times[None].astype(float))
        wanted = score(probability[again], positive[again], np.ones((1, len(again))))
        assert found[0] == pytest.approx(wanted[0], rel=1e-12)


def test_brier_score_equals_scikit_learn() -> None:
    logits, positive = drawn()
    found = weighted_brier(expit(logits), positive, np.ones((1, 400)))[0]
    assert found == pytest.approx(sklearn.brier_score_loss(positive, expit(logits)), rel=1e-12)


def test_brier_score_of_a_choice_sums_over_the_classes() -> None:
    random = np.random.default_rng(0)
    probability, truth = random.dirichlet(np.ones(3), 30), np.eye(3)[random.integers(0, 3, 30)]
    assert weighted_brier(probability, truth, np.ones((1, 30)))[0] == pytest.approx(
        ((probability - truth) ** 2).sum(1).mean(), rel=1e-12
    )


def test_temperature_is_that_of_the_least_log_loss() -> None:
    logits, positive = drawn(size=2000)
    found = binary_temperature(logits, positive)
    tried = np.geomspace(2, 5, 201)
    losses = [sklearn.log_loss(positive, expit(logits / T)) for T in tried]
    assert found == pytest.approx(tried[int(np.argmin(losses))], rel=1e-2)
    assert found == pytest.approx(3, rel=0.15)


def test_temperature_of_each_class_comes_from_what_is_known_of_it() -> None:
    logits, positive = drawn()
    table = np.stack([logits, logits, logits, logits], axis=1)
    labels = np.stack([positive, positive, np.ones(400), np.full(400, -1)], axis=1).astype(int)
    labels[200:, 1] = -1
    table[200:, 1] = 1e6  # would spoil the temperature if it counted
    found = fit_temperature(table, labels, "multilabel", ["all", "half", "one outcome", "nothing"])
    assert found["all"] == binary_temperature(logits, positive)
    assert found["half"] == binary_temperature(logits[:200], positive[:200]) != found["all"]
    assert found["one outcome"] is None and found["nothing"] is None


def test_temperature_of_a_choice_is_that_of_the_least_log_loss() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(600, 3)) * 2
    truth = np.array([random.choice(3, p=softmax(row)) for row in logits])
    labels = np.eye(3, dtype=int)[truth]
    logits *= 4
    (found,) = fit_temperature(logits, labels, "multiclass", "abc").values()
    tried = np.geomspace(2, 8, 201)
    losses = [sklearn.log_loss(truth, softmax(logits / T, axis=1)) for T in tried]
    assert found == pytest.approx(tried[int(np.argmin(losses))], rel=1e-2)
    unknown = np.concatenate([labels, np.full((5, 3), -1)])
    spoilt = np.concatenate([logits, np.full((5, 3), 50.0)])
    assert fit_temperature(spoilt, unknown, "multiclass", "abc") == {"all": found}
    assert fit_temperature(logits, np.eye(3, dtype=int)[[0] * 600], "multiclass", "abc") == {"all": None}


def test_class_without_a_fault_keeps_a_finite_temperature() -> None:
    assert binary_temperature([-5, -4, 4, 5], [False, False, True, True]) == pytest.approx(0.05, rel=1e-2)


def test_probabilities_use_the_temperature_of_their_class() -> None:
    logits = np.array([[2.0, -1.0]])
    found = calibrated_probabilities(logits, "multilabel", ["a", "b"], {"a": 2.0, "b": None})
    np.testing.assert_allclose(found, expit([[1.0, -1.0]]))
    found = calibrated_probabilities(logits, "multiclass", ["a", "b"], {"all": 0.5})
    np.testing.assert_allclose(found, softmax([[4.0, -2.0]], axis=1))
    np.testing.assert_allclose(calibrated_probabilities(logits, "multilabel", ["a", "b"]), expit(logits))
    with pytest.raises(ValueError, match="no temperature for b"):
        calibrated_probabilities(logits, "multilabel", ["a", "b"], {"a": 2.0})
    with pytest.raises(ValueError, match="'multi'"):
        calibrated_probabilities(logits, "multi", ["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        calibrated_probabilities(logits, "multilabel", ["a"])
