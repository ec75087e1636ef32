# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How far probabilities can be believed: temperature scaling, expected calibration error, Brier score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

__all__ = [
    "Reliability",
    "Task",
    "binary_temperature",
    "calibrated_probabilities",
    "fit_temperature",
    "reliability",
    "weighted_brier",
    "weighted_ece",
]

Task = Literal["multilabel", "multiclass"]
Floats = NDArray[np.float64]
BINS = 15
# Temperatures tried: beyond them probabilities are 0, 1 or a half anyhow, and a class that validation separates without
# a fault would send its temperature to zero.
LOWEST, HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class Reliability:
    """Bins of a reliability picture, entries [bins]: ``nan`` where a bin is empty.

    Args:
        predicted: mean probability.
        observed: share of the outcome.
        count: samples.
    """

    predicted: Floats
    observed: Floats
    count: NDArray[np.intp]

    def to_dict(self) -> dict[str, Any]:
        """The bins as they stand in a result."""
        return {"predicted": self.predicted, "observed": self.observed, "count": self.count}


def calibrated_probabilities(
    logits: ArrayLike, task: Task, classes: Sequence[str], temperature: Mapping[str, float | None] | None = None
) -> Floats:
    """Probabilities of a classifier at the temperature of its operating points.

    Args:
        logits: [N, K].
        task: ``multilabel`` takes the sigmoid of each class, ``multiclass`` the softmax over them.
        classes: names of the K classes.
        temperature: {class: T} for ``multilabel``, {"all": T} for ``multiclass``, as :func:`fit_temperature` gives;
            None, or None for a class, leaves logits as they are.

    Returns:
        float64 [N, K].

    Raises:
        ValueError: another number of classes, an unknown task, or a class without an entry.
    """
    table = np.asarray(logits, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(classes):
        raise ValueError(f"logits must be [N, {len(classes)}], got shape {list(table.shape)}")
    keys = _keys(task, classes)
    if temperature is not None:
        lacking = [key for key in keys if key not in temperature]
        if lacking:
            raise ValueError(f"there is no temperature for {', '.join(lacking)}")
        table = table / np.array([temperature[key] or 1.0 for key in keys])
    return np.asarray(expit(table) if task == "multilabel" else softmax(table, axis=1))


def fit_temperature(
    logits: ArrayLike, labels: ArrayLike, task: Task, classes: Sequence[str]
) -> dict[str, float | None]:
    """Temperature scaling: divide logits by the T of the least negative log likelihood (Guo et al. 2017).

    Fit it on the validation section. A multi-label classifier gets one T a class, from the samples where that class is
    known; a class without both outcomes there gets None. A multi-class one gets a single T under ``all``, or None where
    fewer than two classes occur.

    Args:
        logits: [N, K].
        labels: [N, K], 1 present, 0 absent, -1 unknown; for ``multiclass`` a row counts if it has exactly one 1.
        task: ``multilabel`` or ``multiclass``.
        classes: names of the K classes.
    """
    table, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2 or table.shape != truth.shape or table.shape[1] != len(classes):
        raise ValueError(
            f"logits and labels must both be [N, {len(classes)}], got {list(table.shape)} and {list(truth.shape)}"
        )
    if task == "multilabel":
        known = truth >= 0
        return {
            name: binary_temperature(table[known[:, k], k], truth[known[:, k], k] == 1)
            for k, name in enumerate(classes)
        }
    (key,) = _keys(task, classes)
    known = (truth == 1).sum(1) == 1
    logit, target = table[known], (truth[known] == 1).argmax(1)
    if len(set(target.tolist())) < 2:
        return {key: None}
    return {key: _minimize(lambda T: -log_softmax(logit / T, axis=1)[np.arange(len(target)), target].mean())}


def binary_temperature(logits: ArrayLike, positive: ArrayLike) -> float | None:
    """Temperature of one yes-or-no question.

    Args:
        logits: [N].
        positive: [N] bool.

    Returns:
        T between 0.05 and 20, or None where there is only one outcome.
    """
    sign = np.where(np.asarray(positive, dtype=bool), -1.0, 1.0)
    if not (sign > 0).any() or not (sign < 0).any():
        return None
    signed = np.asarray(logits, dtype=np.float64) * sign
    return _minimize(lambda T: np.logaddexp(0, signed / T).mean())


def weighted_ece(probabilities: Floats, positive: NDArray[np.bool_], weights: Floats, bins: int = BINS) -> Floats:
    """Expected calibration error: mean distance of probability and share of the outcome over equal bins.

    Args:
        probabilities: [N] in 0..1, of the outcome (or of the class called, for a multi-class classifier).
        positive: [N] whether the outcome is there (or the call is right).
        weights: [R, N], not negative: how often each sample was drawn.
        bins: number of bins; a probability on the border of two is in the upper one.

    Returns:
        [R], ``nan`` where nothing weighs.
    """
    gap = (probabilities - positive)[:, None] * _one_hot(probabilities, bins)  # [N, bins]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(weights @ gap).sum(1) / weights.sum(1))


def weighted_brier(probabilities: Floats, truth: ArrayLike, weights: Floats) -> Floats:
    """Brier score: mean squared distance of probability and outcome.

    Args:
        probabilities: [N], or [N, K] for the multi-class score of Brier (1950), which sums over the classes.
        truth: of the same shape, 1 or 0.
        weights: [R, N].

    Returns:
        [R], ``nan`` where nothing weighs.
    """
    squares = (probabilities - np.asarray(truth)) ** 2
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ squares.reshape(len(squares), -1).sum(1) / weights.sum(1))


def reliability(probabilities: Floats, positive: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Bins of the reliability picture, those of :func:`weighted_ece`."""
    member = _one_hot(probabilities, bins)
    count = member.sum(0)
    with np.errstate(invalid="ignore"):
        return Reliability(probabilities @ member / count, positive @ member / count, count.astype(np.intp))


def _one_hot(probabilities: Floats, bins: int) -> Floats:
    place = np.minimum((probabilities * bins).astype(np.intp), bins - 1)
    return np.asarray(place[:, None] == np.arange(bins), dtype=np.float64)


def _keys(task: str, classes: Sequence[str]) -> list[str]:
    if task not in ("multilabel", "multiclass"):
        raise ValueError(f"task must be 'multilabel' or 'multiclass', got {task!r}")
    return list(classes) if task == "multilabel" else ["all"]


def _minimize(loss: Any) -> float:
    """Temperature of the least loss; the loss has one minimum in the logarithm of T."""
    found = minimize_scalar(
        lambda log: loss(np.exp(log)),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))
