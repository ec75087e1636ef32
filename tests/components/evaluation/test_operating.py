# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points: thresholds against a search over all cuts, and their file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radbundles.components.evaluation import (
    PredictionTable,
    calibrated_probabilities,
    operating_points,
    read_points,
    write_json,
)

sklearn: Any = pytest.importorskip("sklearn.metrics")


def table_of(logits: NDArray[Any], labels: NDArray[Any], task: Any = "multilabel") -> PredictionTable:
    N, K = logits.shape
    return PredictionTable(
        task=task,
        classes=tuple("abcdefg"[:K]),
        ids=tuple(map(str, range(N))),
        clusters=np.arange(N),
        logits=logits.astype(float),
        labels=labels.astype(np.int8),
        groups=({},) * N,
    )


def drawn(seed: int, size: int = 80) -> PredictionTable:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, 2, (size, 1))
    return table_of(np.round(random.normal(size=(size, 1)) * 2 + labels, 1), labels)  # with ties


def known(table: PredictionTable, points: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Outcomes, and calibrated probabilities, of the samples that count."""
    rows = table.labels[:, 0] >= 0
    probability = calibrated_probabilities(table.logits, "multilabel", table.classes, points["temperature"])
    return table.labels[rows, 0] == 1, probability[rows, 0]


def cuts(probability: NDArray[Any]) -> list[float]:
    return [0.0, *np.unique(probability), 1.1]


SCORES = {
    "youden": lambda truth, called: sklearn.balanced_accuracy_score(truth, called),
    "mcc": lambda truth, called: sklearn.matthews_corrcoef(truth, called),
    "f1": lambda truth, called: sklearn.f1_score(truth, called),
}


@pytest.mark.parametrize("rule", SCORES)
@pytest.mark.parametrize("seed", range(2))
def test_threshold_is_the_best_of_all_cuts(rule: str, seed: int) -> None:
    points = operating_points(drawn(seed), rule)
    truth, probability = known(drawn(seed), points)
    reached = SCORES[rule](truth, probability >= points["thresholds"]["a"])
    assert reached == pytest.approx(max(SCORES[rule](truth, probability >= cut) for cut in cuts(probability)))


@pytest.mark.parametrize("seed", range(4))
def test_threshold_reaches_a_sensitivity_with_as_few_alarms_as_can_be(seed: int) -> None:
    points = operating_points(drawn(seed), "sensitivity@0.9")
    truth, probability = known(drawn(seed), points)
    called = probability >= points["thresholds"]["a"]
    assert called[truth].mean() >= 0.9
    others = [probability >= cut for cut in cuts(probability)]
    assert called[~truth].mean() == min(other[~truth].mean() for other in others if other[truth].mean() >= 0.9)


@pytest.mark.parametrize("seed", range(4))
def test_threshold_reaches_a_specificity_with_as_many_finds_as_can_be(seed: int) -> None:
    points = operating_points(drawn(seed), "specificity@0.95")
    truth, probability = known(drawn(seed), points)
    called = probability >= points["thresholds"]["a"]
    assert called[~truth].mean() <= 0.05
    others = [probability >= cut for cut in cuts(probability)]
    assert called[truth].mean() == max(other[truth].mean() for other in others if other[~truth].mean() <= 0.05)


def test_specificity_that_only_silence_reaches_calls_nothing() -> None:
    table = table_of(np.array([[60.0], [50.0], [-1.0], [60.0]]), np.array([[0], [1], [0], [1]]))  # 60 is 1 when rounded
    points = operating_points(table, "specificity@1")
    assert not (known(table, points)[1] >= points["thresholds"]["a"]).any()


def test_threshold_lies_halfway_to_the_next_probability() -> None:
    logits = np.array([[3.0], [2.0], [-2.0], [-3.0]])
    points = operating_points(table_of(logits, np.array([[1], [1], [0], [0]])))
    assert points["thresholds"]["a"] == pytest.approx(0.5)  # as far from 2 as from -2, at any temperature


def test_class_of_one_outcome_has_no_threshold() -> None:
    labels = np.array([[1, 1], [0, -1], [1, 1]])
    points = operating_points(table_of(np.arange(6).reshape(3, 2), labels))
    assert points["thresholds"]["b"] is None and points["temperature"]["b"] is None
    assert points["thresholds"]["a"] is not None and points["samples"] == 3


def test_choice_has_a_temperature_alone() -> None:
    points = operating_points(table_of(np.eye(3), np.eye(3), "multiclass"))
    assert points["thresholds"] == dict.fromkeys("abc") and set(points["temperature"]) == {"all"}


@pytest.mark.parametrize("rule", ["best", "sensitivity@", "sensitivity@0", "specificity@1.5", "sensitivity@90"])
def test_unknown_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=f"got '{rule}'"):
        operating_points(drawn(0), rule)


def test_points_of_other_classes_or_tasks_are_refused(tmp_path: Path) -> None:
    points = {"task": "multilabel", "classes": ["a", "b"], "thresholds": {"a": 0.5, "b": None}}
    write_json(tmp_path / "points.json", points)
    assert read_points(tmp_path / "points.json", task="multilabel", classes=("a", "b")) == points
    assert read_points(points, task="multilabel", classes=("a", "b")) == points
    with pytest.raises(ValueError, match=r"points.json are for classes \['a', 'b'\], but the model has \['b', 'a'\]"):
        read_points(tmp_path / "points.json", task="multilabel", classes=("b", "a"))
    with pytest.raises(ValueError, match="operating points are for task 'multilabel'"):
        read_points(points, task="detection", classes=("a", "b"))
    with pytest.raises(FileNotFoundError, match="no file of operating points"):
        read_points(tmp_path / "none.json", task="multilabel", classes=("a", "b"))
