# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a table of predictions against scikit-learn, with unknown labels, absent classes and resamples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax

from radbundles.components.evaluation import (
    PredictionTable,
    calibration_scores,
    classification_result,
    confusion_matrix,
)
from radbundles.components.metrics import resample_counts

sklearn: Any = pytest.importorskip("sklearn.metrics")
FEW: dict[str, Any] = {"resamples": 20}


def table(task: Any = "multilabel", *, seed: int = 0, size: int = 90, classes: int = 4) -> PredictionTable:
    """Three samples a patient; of a multi-label table class 2 is constant and class 3 absent."""
    random = np.random.default_rng(seed)
    if task == "multilabel":
        labels: NDArray[Any] = random.integers(-1, 2, (size, classes))
        labels[:, -1] = np.minimum(labels[:, -1], 0)
        logits = np.round(random.normal(size=labels.shape) * 2 + labels, 1)
        logits[:, 2] = 0.25
    else:
        truth = random.integers(0, classes - 1, size)  # the last class does not occur
        labels = np.eye(classes)[truth]
        logits = random.normal(size=labels.shape) + labels
        labels[::10] = -1
    return PredictionTable(
        task=task,
        classes=tuple("abcdef"[:classes]),
        ids=tuple(map(str, range(size))),
        clusters=np.arange(size) // 3,
        logits=logits.astype(float),
        labels=labels.astype(np.int8),
        groups=({},) * size,
    )


POINTS: dict[str, Any] = {
    "temperature": {"a": 2.0, "b": 0.5, "c": None, "d": None},
    "thresholds": {"a": 0.4, "b": 0.7, "c": None, "d": None},
}


def test_scores_of_a_class_equal_scikit_learn() -> None:
    data = table()
    found = classification_result(data, POINTS, **FEW)["classes"]
    for k, (name, T, cut) in enumerate((("a", 2.0, 0.4), ("b", 0.5, 0.7), ("c", 1.0, 0.5))):
        known = data.labels[:, k] >= 0
        truth, logits = data.labels[known, k], data.logits[known, k]
        probability = expit(logits / T)
        called = probability >= cut
        wanted = {
            "auroc": sklearn.roc_auc_score(truth, logits),
            "auprc": sklearn.average_precision_score(truth, logits),
            "sensitivity": sklearn.recall_score(truth, called),
            "specificity": sklearn.recall_score(1 - truth, ~called),
            "ppv": sklearn.precision_score(truth, called),
            "f1": sklearn.f1_score(truth, called),
            "mcc": sklearn.matthews_corrcoef(truth, called),
            "balanced_accuracy": sklearn.balanced_accuracy_score(truth, called),
            "brier": sklearn.brier_score_loss(truth, probability),
        }
        assert {score: found[name][score][0] for score in wanted} == pytest.approx(wanted, rel=1e-12)
        assert found[name]["present"] == truth.sum() and found[name]["unknown"] == (~known).sum()
        assert found[name]["threshold"] == cut
    assert found["c"]["auroc"] == [0.5, 0.5, 0.5], "constant scores"


def test_mean_is_over_classes_of_both_outcomes() -> None:
    found = classification_result(table(), POINTS, **FEW)
    assert found["classes_in_mean"] == 3
    for score, (estimate, low, high) in found["mean"].items():
        classes = [found["classes"][name][score][0] for name in "abc"]
        assert estimate == pytest.approx(np.nanmean(classes))
        assert low <= high
    absent = found["classes"]["d"]
    assert absent["present"] == 0 and math.isnan(absent["auroc"][0]) and math.isnan(absent["ppv"][0])
    assert 0 < absent["specificity"][0] < 1, "false alarms are told even so"


def test_unknown_labels_enter_no_score() -> None:
    data = table()
    spoilt = data.logits.copy()
    spoilt[data.labels < 0] = 1e3
    changed = PredictionTable(**{**vars(data), "logits": spoilt})
    np.testing.assert_equal(classification_result(changed, POINTS, **FEW), classification_result(data, POINTS, **FEW))
    np.testing.assert_equal(calibration_scores(changed, POINTS, **FEW), calibration_scores(data, POINTS, **FEW))


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_bounds_are_those_of_tables_of_drawn_patients(task: str) -> None:
    data = table(task)
    found = classification_result(data, resamples=12, seed=3)
    (counts,) = resample_counts(30, 12, 3)
    drawn = []
    for times in counts:
        rows = np.concatenate([np.flatnonzero(data.clusters == p) for p in range(30) for _ in range(int(times[p]))])
        again = PredictionTable(
            **{
                **vars(data),
                "ids": tuple(map(str, range(len(rows)))),
                **{key: getattr(data, key)[rows] for key in ("clusters", "logits", "labels")},
                "groups": ({},) * len(rows),
            }
        )
        drawn.append(classification_result(again, resamples=1))
    for score, (_, low, high) in found["mean"].items():
        values = sorted(one["mean"][score][0] for one in drawn)
        assert (low, high) == pytest.approx((values[0], values[-1]))  # 95 % of 12 leaves none out
    for score in ("auroc", "sensitivity", "ece"):
        values = sorted(one["classes"]["a"][score][0] for one in drawn)
        assert found["classes"]["a"][score][1:] == pytest.approx([values[0], values[-1]])


def test_patients_are_drawn_and_not_samples() -> None:
    data = table(size=30)
    (data.logits[:], data.labels[:]) = (np.repeat(part[::3], 3, axis=0) for part in (data.logits, data.labels))
    alone = PredictionTable(**{**vars(data), "clusters": np.arange(30)})
    widths = []
    for one in (data, alone):
        _, low, high = classification_result(one, resamples=300)["mean"]["auroc"]
        widths.append(high - low)
    assert widths[0] > 1.3 * widths[1]


def test_choice_equals_scikit_learn() -> None:
    data = table("multiclass")
    points = {"temperature": {"all": 2.0}, "thresholds": dict.fromkeys("abcd")}
    result = classification_result(data, points, ordinal=True, **FEW)
    found = {name: entry[0] for name, entry in result["mean"].items()}
    known = data.labels[:, 0] >= 0
    truth, logits = data.labels[known].argmax(1), data.logits[known]
    called, calibrated = logits.argmax(1), softmax(logits / 2, axis=1)
    one = (truth[:, None] == np.arange(3)).astype(int)
    wanted = {
        "accuracy": sklearn.accuracy_score(truth, called),
        "balanced_accuracy": sklearn.recall_score(truth, called, labels=range(3), average="macro"),
        "kappa_quadratic": sklearn.cohen_kappa_score(truth, called, weights="quadratic"),
        "auroc": sklearn.roc_auc_score(one, softmax(logits, axis=1)[:, :3], average="macro"),
        "kappa": sklearn.cohen_kappa_score(truth, called),
        "mcc": sklearn.matthews_corrcoef(truth, called),
        "f1": sklearn.f1_score(truth, called, labels=range(3), average="macro"),
        "auprc": sklearn.average_precision_score(one, softmax(logits, axis=1)[:, :3], average="macro"),
        "brier": ((calibrated - np.eye(4)[truth]) ** 2).sum(1).mean(),
        "ece": _top_ece(calibrated, truth),
    }
    assert found == pytest.approx(wanted, rel=1e-9)
    assert list(found) == list(wanted), "the most important first"
    np.testing.assert_array_equal(
        confusion_matrix(data, points), sklearn.confusion_matrix(truth, called, labels=range(4))
    )
    assert "threshold" not in result["classes"]["a"]
    assert "kappa_quadratic" not in classification_result(data, points, **FEW)["mean"]


def _top_ece(probability: Any, truth: Any) -> float:
    top, right = probability.max(1), probability.argmax(1) == truth
    bins = [(top >= n / 15) & (top < (n + 1) / 15) for n in range(15)]
    return sum(abs(top[part].mean() - right[part].mean()) * part.mean() for part in bins if part.any())


def test_calibration_is_told_before_and_after() -> None:
    data = table()
    found = calibration_scores(data, POINTS, **FEW)
    after = classification_result(data, POINTS, **FEW)["mean"]
    assert found["after"] == {"ece": after["ece"], "brier": after["brier"]}
    plain = classification_result(data, **FEW)["mean"]
    assert found["before"] == {"ece": plain["ece"], "brier": plain["brier"]} != found["after"]
    assert found["temperature"] == POINTS["temperature"]
    assert found["bins"]["before"]["count"].sum() == (data.labels >= 0).sum()
    assert set(calibration_scores(data, **FEW)) == {"temperature", "before", "bins"}


def test_section_without_any_class_of_both_outcomes_has_no_mean() -> None:
    data = table(classes=4).take(np.arange(6))
    data.labels[:] = np.maximum(data.labels, 0) * 0
    found = classification_result(data, **FEW)
    assert found["classes_in_mean"] == 0
    assert all(math.isnan(bound) for entry in found["mean"].values() for bound in entry)


def test_class_of_which_nothing_is_known_has_no_score() -> None:
    data = table()
    data.labels[:, 1] = -1
    entry = classification_result(data, **FEW)["classes"]["b"]
    assert entry["unknown"] == len(data)
    assert all(math.isnan(bound) for value in entry.values() if isinstance(value, list) for bound in value)
