# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that a table of predictions says about a classifier, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.calibration import (
    calibrated_probabilities,
    reliability,
    weighted_brier,
    weighted_ece,
)
from radbundles.components.evaluation.classification_table import PredictionTable
from radbundles.components.evaluation.operating import DEFAULT_THRESHOLD
from radbundles.components.evaluation.result import bounds
from radbundles.components.metrics.weighted import weighted_auroc
from radbundles.components.metrics.weighted_classification import (
    weighted_average_precision,
    weighted_confusion,
    weighted_cut_scores,
    weighted_multiclass_scores,
)

__all__ = ["calibration_scores", "classification_result", "confusion_matrix", "two_sided"]

Floats = NDArray[np.float64]
CLASS_SCORES = (
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "mcc",
    "balanced_accuracy",
    "brier",
    "ece",
)
# A single choice among classes is judged as a whole; of the scores of a class these are averaged. The first is the most
# important.
CHOICE_SCORES = (
    "accuracy",
    "balanced_accuracy",
    "kappa_quadratic",
    "auroc",
    "kappa",
    "mcc",
    "f1",
    "auprc",
    "brier",
    "ece",
)
CHOICE_MEANS = ("auroc", "auprc", "f1")


def classification_result(
    table: PredictionTable, points: Mapping[str, Any] | None = None, *, ordinal: bool = False, **draws: Any
) -> dict[str, Any]:
    """Scores per class and over the classes.

    Each class is a question of yes or no: ``auroc``, ``auprc`` (average precision), and at the operating point
    ``sensitivity``, ``specificity``, ``ppv``, ``npv``, ``f1``, ``mcc`` and ``balanced_accuracy``; ``brier`` and ``ece``
    of the calibrated probability. The mean over the classes is of those that have both outcomes in the table, and in
    a resample of those of which the score is defined there.

    A ``multiclass`` table calls the class of the highest probability. A class is then judged against all others
    (ranked by its softmax before calibration), and ``mean`` has ``accuracy``, ``balanced_accuracy``, ``kappa`` and
    ``mcc`` of the choice itself; its ``brier`` is summed over the classes and its ``ece`` that of the called class.

    Unknown labels enter nothing.

    Args:
        table: predictions.
        points: of :func:`operating_points`; without them temperature 1 and threshold 0.5.
        ordinal: the classes of a ``multiclass`` table are in an order: ``kappa_quadratic`` too.
        draws: ``resamples``, ``level`` and ``seed`` of the bootstrap over patients.

    Returns:
        ``classes`` ({name: {present, absent, unknown, threshold, score: [estimate, low, high]}}), ``mean`` and
        ``classes_in_mean``, their number.
    """
    found = bootstrapped(_Scores(table, points, ordinal), table.clusters, **draws)
    thresholds = _thresholds(table, points)
    classes: dict[str, Any] = {}
    for k, name in enumerate(table.classes):
        labels = table.labels[:, k]
        counts = {kind: int((labels == code).sum()) for kind, code in (("present", 1), ("absent", 0), ("unknown", -1))}
        cut = {"threshold": float(thresholds[k])} if table.task == "multilabel" else {}
        classes[name] = counts | cut | {score: bounds(found[score], k) for score in CLASS_SCORES}
    mean = {name.removeprefix("mean "): bounds(found[name]) for name in found if name.startswith("mean ")}
    return {"classes": classes, "mean": mean, "classes_in_mean": len(two_sided(table))}


def calibration_scores(table: PredictionTable, points: Mapping[str, Any] | None = None, **draws: Any) -> dict[str, Any]:
    """Calibration before and after the temperatures of the operating points.

    Args:
        table: predictions.
        points: of :func:`operating_points`.
        draws: ``resamples``, ``level`` and ``seed``.

    Returns:
        ``temperature``, ``before`` and ``after`` (``ece`` and ``brier``) and ``bins`` (of all classes together; of the
        called class for ``multiclass``). Without points there is no ``after``.
    """
    stages: dict[str, Mapping[str, Any] | None] = {"before": None} | ({} if points is None else {"after": points})
    found: dict[str, Any] = {"temperature": None if points is None else points["temperature"]}
    bins = {}
    for stage, used in stages.items():
        scores = _Calibration(table, used)
        found[stage] = {name: bounds(entry) for name, entry in bootstrapped(scores, table.clusters, **draws).items()}
        bins[stage] = reliability(*scores.pooled()).to_dict()
    return found | {"bins": bins}


def two_sided(table: PredictionTable) -> list[int]:
    """Numbers of the classes that have both outcomes in the table."""
    return np.flatnonzero((table.labels == 1).any(0) & (table.labels == 0).any(0)).tolist()


def confusion_matrix(table: PredictionTable, points: Mapping[str, Any] | None = None) -> NDArray[np.intp]:
    """Counts [K, K] of a ``multiclass`` table, rows what is true and columns what was called."""
    rows = np.flatnonzero(table.labels[:, 0] >= 0)
    called = _probabilities(table, points)[rows].argmax(1)
    weights = np.ones((1, len(rows)))
    counts = weighted_confusion(called, table.labels[rows].argmax(1), len(table.classes), weights)
    return counts[0].astype(np.intp)


class _Calibration:
    """ECE and Brier score of a table for weights [R, N]."""

    def __init__(self, table: PredictionTable, points: Mapping[str, Any] | None) -> None:
        self.labels, self.multiclass = table.labels, table.task == "multiclass"
        self.probabilities = _probabilities(table, points)
        self.known = table.labels >= 0
        self.two_sided = two_sided(table)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        if self.multiclass:
            rows = np.flatnonzero(self.known[:, 0])
            weights = weights[:, rows]
            brier = weighted_brier(self.probabilities[rows], self.labels[rows], weights)
            return {"ece": weighted_ece(*self.pooled(), weights), "brier": brier}
        columns = [self.of_class(k, weights) for k in self.two_sided]
        return {name: _mean([column[name] for column in columns], len(weights)) for name in ("ece", "brier")}

    def of_class(self, k: int, weights: Floats) -> dict[str, Floats]:
        rows = np.flatnonzero(self.known[:, k])
        probability, positive = self.probabilities[rows, k], self.labels[rows, k] == 1
        weights = weights[:, rows]
        return {
            "brier": weighted_brier(probability, positive, weights),
            "ece": weighted_ece(probability, positive, weights),
        }

    def pooled(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Probabilities and outcomes of all classes, or of the class called."""
        if not self.multiclass:
            return self.probabilities[self.known], self.labels[self.known] == 1
        rows = np.flatnonzero(self.known[:, 0])
        probabilities = self.probabilities[rows]
        called = probabilities.argmax(1)
        return probabilities.max(1), self.labels[rows, called] == 1


class _Scores:
    """All scores of a table for weights [R, N]: those of a class [R, K], those over the classes [R]."""

    def __init__(self, table: PredictionTable, points: Mapping[str, Any] | None, ordinal: bool) -> None:
        self.table, self.ordinal = table, ordinal
        self.calibration = _Calibration(table, points)
        probabilities = self.calibration.probabilities
        if table.task == "multilabel":
            self.ranks = table.logits  # as the probabilities, but apart where these round to 0 or 1
            self.called = probabilities >= _thresholds(table, points)
        else:
            self.ranks = _probabilities(table, None)
            self.called = probabilities.argmax(1)[:, None] == np.arange(len(table.classes))

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        columns = [self._of_class(k, weights) for k in range(len(self.table.classes))]
        scores = {name: np.stack([column[name] for column in columns], axis=1) for name in CLASS_SCORES}
        counted = [columns[k] for k in self.calibration.two_sided]
        if self.table.task == "multilabel":
            means = {name: _mean([column[name] for column in counted], len(weights)) for name in CLASS_SCORES}
            return scores | {f"mean {name}": value for name, value in means.items()}
        rows = np.flatnonzero(self.table.labels[:, 0] >= 0)
        truth, called = self.table.labels[rows].argmax(1), self.called[rows].argmax(1)
        confusion = weighted_confusion(called, truth, len(self.table.classes), weights[:, rows])
        mean = weighted_multiclass_scores(confusion, ordinal=self.ordinal)
        mean |= {name: _mean([column[name] for column in counted], len(weights)) for name in CHOICE_MEANS}
        mean |= self.calibration(weights)
        return scores | {f"mean {name}": mean[name] for name in CHOICE_SCORES if name in mean}

    def _of_class(self, k: int, weights: Floats) -> dict[str, Floats]:
        labels = self.table.labels[:, k]
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            return {name: np.full(len(weights), np.nan) for name in CLASS_SCORES}
        calibration = self.calibration.of_class(k, weights)
        weights, positive = weights[:, rows], labels[rows] == 1
        return {
            "auroc": weighted_auroc(self.ranks[rows, k], positive, weights),
            "auprc": weighted_average_precision(self.ranks[rows, k], positive, weights),
            **weighted_cut_scores(self.called[rows, k], positive, weights),
            **calibration,
        }


def _probabilities(table: PredictionTable, points: Mapping[str, Any] | None) -> Floats:
    temperature = None if points is None else points["temperature"]
    return calibrated_probabilities(table.logits, table.task, table.classes, temperature)


def _thresholds(table: PredictionTable, points: Mapping[str, Any] | None) -> Floats:
    chosen = {} if points is None else points["thresholds"]
    cuts = [chosen.get(name) for name in table.classes]
    return np.array([DEFAULT_THRESHOLD if cut is None else cut for cut in cuts])


def _mean(columns: list[Floats], resamples: int) -> Floats:
    """Mean over the classes without nan -> [resamples]; nan where there is nothing else."""
    values = np.stack(columns, axis=1) if columns else np.empty((resamples, 0))
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(1) / known.sum(1))
