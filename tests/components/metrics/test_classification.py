# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Classification scores against definitions written out, and resamples against torchmetrics on repeated rows."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_matthews_corrcoef,
    multiclass_f1_score,
)

from radbundles.components.metrics import classification_scores, multiclass_accuracy, resample_counts
from radbundles.components.metrics.weighted import weighted_auroc, weighted_confusion_scores

METRICS = ("auroc", "mcc", "f1", "accuracy")


def made(N: int = 80, K: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 2, size=(N, K))
    return np.round(generator.normal(size=(N, K)) + labels, 1), labels


def written_out(scores: np.ndarray, positive: np.ndarray, cut: float) -> dict[str, float]:
    wins = [(p > n) + (p == n) / 2 for p in scores[positive] for n in scores[~positive]]
    called = scores >= cut
    f1 = []
    for outcome in (True, False):
        hits = ((called == outcome) & (positive == outcome)).sum()
        f1.append(2 * hits / ((called == outcome).sum() + (positive == outcome).sum()))
    return {
        "auroc": float(np.mean(wins)),
        "mcc": float(np.corrcoef(called, positive)[0, 1]),
        "f1": float(np.mean(f1)),
        "accuracy": float((called == positive).mean()),
    }


def test_estimates_are_those_of_the_definitions() -> None:
    scores, labels = made()
    cuts = [0.3, -0.2, 0.6]
    found = classification_scores(scores, labels, thresholds=cuts, resamples=20)
    expected = []
    for k, cut in enumerate(cuts):
        known = labels[:, k] >= 0
        expected.append(written_out(scores[known, k], labels[known, k] == 1, cut))
    for name in METRICS:
        values = [entry[name] for entry in expected]
        np.testing.assert_allclose(found.per_class[name].estimate, values, rtol=1e-5)
        assert found.mean[name].estimate == pytest.approx(np.mean(values), rel=1e-5)


def test_resamples_are_what_torchmetrics_says_of_the_repeated_rows() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(40) < 0.4
    scores = np.round(generator.random(40) + positive * 0.3, 1).clip(0, 1)
    (weights,) = resample_counts(40, 25, seed=0)
    found = {"auroc": weighted_auroc(scores, positive, weights)}
    found |= weighted_confusion_scores(scores >= 0.6, positive, weights)
    for place, counts in enumerate(weights.astype(int)):
        rows = torch.from_numpy(scores.repeat(counts)), torch.from_numpy(positive.repeat(counts)).long()
        called = (rows[0] >= 0.6).long()
        expected = {
            "auroc": binary_auroc(*rows),
            "mcc": binary_matthews_corrcoef(called, rows[1]),
            "f1": multiclass_f1_score(called, rows[1], num_classes=2, average="macro"),
            "accuracy": binary_accuracy(called, rows[1]),
        }
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value.item(), abs=1e-5), (name, place)


def test_intervals_are_the_percentiles_of_the_resamples() -> None:
    scores, labels = made()
    found = classification_scores(scores, labels, resamples=200, seed=9)
    (weights,) = resample_counts(len(scores), 200, seed=9)
    replicates = []
    for k in range(3):
        known = labels[:, k] >= 0
        replicates.append(weighted_auroc(scores[known, k], labels[known, k] == 1, weights[:, known]))
        assert found.per_class["auroc"].low[k] == np.sort(replicates[k])[4]
        assert found.per_class["auroc"].high[k] == np.sort(replicates[k])[194]
    assert found.mean["auroc"].low == pytest.approx(np.sort(np.mean(replicates, axis=0))[4])


def test_all_intervals_have_a_width() -> None:
    scores, labels = made()
    found = classification_scores(scores, labels, thresholds=[0, 0, 0], resamples=100)
    for name in METRICS:
        interval = found.per_class[name]
        assert (interval.low < interval.estimate).all() and (interval.estimate < interval.high).all()
        assert found.mean[name].low < found.mean[name].estimate < found.mean[name].high


def test_blocks_of_resamples_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = made()
    whole = classification_scores(scores, labels, resamples=50)
    monkeypatch.setattr("radbundles.components.metrics.bootstrap._BLOCK", 300)
    parts = classification_scores(scores, labels, resamples=50)
    assert whole.mean == parts.mean


def test_clusters_are_drawn_together() -> None:
    scores, labels = made()
    once = classification_scores(scores, labels, resamples=100)
    patients = np.repeat(np.arange(len(scores)), 4).tolist()
    repeated = classification_scores(
        scores.repeat(4, axis=0), labels.repeat(4, axis=0), clusters=patients, resamples=100
    )
    assert repeated.mean["auroc"] == pytest.approx(once.mean["auroc"], abs=1e-6)


def test_class_with_one_outcome_is_named_and_left_out_of_the_mean() -> None:
    scores, labels = made()
    labels[:, 1] = np.where(labels[:, 1] == 0, 1, labels[:, 1])
    found = classification_scores(scores, labels, thresholds=[0, math.nan, 0], classes=["a", "b", "c"], resamples=30)
    assert found.one_sided == ("b",) and found.absent[1] == 0
    for name in METRICS:
        estimate = found.per_class[name].estimate
        assert math.isnan(estimate[1]) and math.isnan(found.per_class[name].low[1])
        assert found.mean[name].estimate == pytest.approx((estimate[0] + estimate[2]) / 2)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["one_sided"] == ["b"] and written["classes"]["b"]["auroc"] == [None, None, None]
    assert written["classes"]["b"]["threshold"] is None
    assert written["classes"]["a"]["present"] == (labels[:, 0] == 1).sum()


def test_class_without_threshold_still_has_an_auroc() -> None:
    scores, labels = made()
    found = classification_scores(scores, labels, thresholds=[0, math.nan, 0], resamples=30)
    assert math.isnan(found.per_class["mcc"].estimate[1]) and math.isnan(found.per_class["mcc"].high[1])
    assert found.per_class["auroc"].estimate[1] > 0.5 and found.one_sided == ()


def test_constant_prediction_has_no_correlation() -> None:
    scores, labels = np.arange(10.0)[:, None], np.array([[1]] * 2 + [[0]] * 8)
    for cut in (-1.0, 99.0):
        found = classification_scores(scores, labels, thresholds=[cut], resamples=50)
        assert tuple(bound[0] for bound in found.per_class["mcc"]) == (0, 0, 0)


def test_large_scores_stay_apart() -> None:
    scores = np.array([[100.0], [101.0], [102.0], [103.0]])
    found = classification_scores(scores, [[0], [0], [1], [1]], resamples=5)
    assert found.per_class["auroc"].estimate.tolist() == [1.0]


def test_accuracy_over_classes() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.1], [0.5, 0.5, 0.5], [0.0, 0.1, 0.2]])
    by_number = multiclass_accuracy(scores, [0, 0, 0, 2], resamples=500)
    assert by_number.estimate == 0.75 and by_number.low < 0.75 < by_number.high
    one_hot = np.eye(3)[[0, 0, 0, 2]]
    assert multiclass_accuracy(scores, one_hot, resamples=500) == by_number


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thresholds": [0.5]}, r"\[3\], one for each class, got shape \[1\]"),
        ({"classes": ["a", "a", "b"]}, "3 different names"),
        ({"clusters": [1]}, "clusters has 1 entries"),
        ({"level": 0}, "between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    scores, labels = made()
    with pytest.raises(ValueError, match=message):
        classification_scores(scores, labels, resamples=2, **arguments)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.1, 0.2]], [2], "from 0 to 1, got 2 to 2"),
        ([[0.1, 0.2]], [[1, 1]], "sample 0 has 2 classes"),
        ([[0.1, math.nan]], [0], "sample 0 are not finite"),
        ([[0.1, 0.2]], [0, 1], r"got \[1, 2\], \[2\]"),
    ],
)
def test_wrong_classes_are_refused(scores: object, labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multiclass_accuracy(scores, labels)  # type: ignore[arg-type]
