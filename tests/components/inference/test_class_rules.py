# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from radbundles.components.evaluation.detection_points import class_thresholds
from radbundles.components.evaluation.segmentation_points import mask_levels
from radbundles.components.inference import at_threshold, class_rules

Points = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("points", [None, {}])
def test_without_points_a_half_decides_and_nothing_is_calibrated(points: dict[str, Any] | None) -> None:
    rules = class_rules("multilabel", ["a", "b"], points)
    assert [rule.to_dict() for rule in rules] == [
        {"name": name, "calibrated": False, "threshold": 0.5, "threshold_from": "default"} for name in "ab"
    ]
    assert [rule.level for rule in rules] == [0, 0]


def test_points_of_validation_are_taken_class_by_class(points: Points) -> None:
    made = points("multilabel", {"a": 0.2, "b": None, "c": 0.7}, {"a": 2.0, "b": None, "c": 1.0})
    a, b, c = class_rules("multilabel", ["a", "b", "c"], made)
    assert (a.threshold, a.origin, a.temperature) == (0.2, "validation", 2.0)
    assert (b.threshold, b.origin, b.temperature) == (0.5, "default", None)
    assert (c.threshold, c.origin, c.temperature) == (0.7, "validation", 1.0)
    assert a.level == pytest.approx(2 * math.log(0.2 / 0.8))


def test_one_temperature_is_of_all_classes_of_a_multi_class_task(points: Points) -> None:
    made = points("multiclass", {"a": None, "b": None}, {"all": 1.7})
    assert [rule.temperature for rule in class_rules("multiclass", ["a", "b"], made)] == [1.7, 1.7]


def test_levels_and_thresholds_are_those_of_the_evaluation(points: Points) -> None:
    made = points("segmentation", {"a": 0.31, "b": None}, {"a": 1.6, "b": 0.8})
    rules = class_rules("segmentation", ["a", "b"], made)
    assert [rule.level for rule in rules] == pytest.approx(mask_levels(made, ["a", "b"]))
    made = points("detection", {"a": 0.31, "b": None}, {"a": 1.6, "b": 0.8})
    rules = class_rules("detection", ["a", "b"], made)
    assert [rule.threshold for rule in rules] == class_thresholds(["a", "b"], made)


def test_a_threshold_of_the_user_leaves_the_calibration(points: Points) -> None:
    made = points("multilabel", {"a": 0.2, "b": 0.4}, {"a": 2.0, "b": None})
    rules = at_threshold(class_rules("multilabel", ["a", "b"], made), 0.3)
    assert [(rule.threshold, rule.origin, rule.temperature) for rule in rules] == [
        (0.3, "user", 2),
        (0.3, "user", None),
    ]
    for wrong in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            at_threshold(rules, wrong)


def test_points_of_something_else_are_refused(points: Points) -> None:
    made = points("multilabel", {"a": 0.2, "b": 0.4}, {"a": 2.0})
    with pytest.raises(ValueError, match="are for task 'multilabel', but the model has 'segmentation'"):
        class_rules("segmentation", ["a", "b"], made)
    with pytest.raises(ValueError, match="are for classes"):
        class_rules("multilabel", ["b", "a"], made)
    with pytest.raises(ValueError, match="no entry 'b' for the class 'b'"):
        class_rules("multilabel", ["a", "b"], made)
