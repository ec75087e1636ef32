# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How the scores of each class become answers: temperature and threshold, as chosen on validation data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import logit

from radbundles.components.evaluation.operating import DEFAULT_THRESHOLD, read_points

Origin = Literal["validation", "default", "user"]


@dataclass(frozen=True)
class ClassRule:
    """How one class is answered.

    Args:
        name: the class.
        threshold: least probability of a yes.
        origin: who chose the threshold: the validation section of the training run; nobody, where that section did not
            have both outcomes; or the user.
        temperature: what logits are divided by; None where nobody has calibrated them.
    """

    name: str
    threshold: float = DEFAULT_THRESHOLD
    origin: Origin = "default"
    temperature: float | None = None

    @property
    def level(self) -> float:
        """The threshold among logits that have not been divided by the temperature."""
        return float(logit(self.threshold)) * (self.temperature or 1.0)

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON values."""
        return {
            "name": self.name,
            "calibrated": self.temperature is not None,
            "threshold": self.threshold,
            "threshold_from": self.origin,
        }


def class_rules(task: str, classes: Sequence[str], points: Mapping[str, Any] | None) -> tuple[ClassRule, ...]:
    """Rules of the classes, in their order.

    Args:
        task: ``multilabel``, ``multiclass``, ``segmentation`` or ``detection``.
        classes: names.
        points: operating points as a bundle's metadata holds them. None or empty: logits are taken as they are, and
            compared with 0.5 as probabilities.

    Raises:
        ValueError: if the points are of another task or other classes, or have no entry for a class.
    """
    if not points:
        return tuple(ClassRule(name) for name in classes)
    known = read_points(points, task=task, classes=classes)
    rules = []
    for name in classes:
        try:
            threshold = known["thresholds"][name]
            temperature = known["temperature"]["all" if task == "multiclass" else name]
        except KeyError as error:
            raise ValueError(f"the operating points have no entry {error} for the class {name!r}") from None
        chosen = DEFAULT_THRESHOLD if threshold is None else float(threshold)
        rules.append(ClassRule(name, chosen, "default" if threshold is None else "validation", temperature))
    return tuple(rules)


def at_threshold(rules: Sequence[ClassRule], threshold: float) -> tuple[ClassRule, ...]:
    """The rules with a threshold that the user gives.

    Raises:
        ValueError: if it is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
    return tuple(dataclasses.replace(rule, threshold=threshold, origin="user") for rule in rules)
