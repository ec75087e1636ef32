# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""AUROC, MCC, F1 and accuracy per class and over the classes, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from radbundles.components.metrics.bootstrap import (
    Interval,
    bootstrap_interval,
    percentile_interval,
    resample_counts,
    resampled_units,
)
from radbundles.components.metrics.outcomes import Outcomes, known_outcomes
from radbundles.components.metrics.weighted import weighted_auroc, weighted_confusion_scores

__all__ = ["ClassificationScores", "classification_scores", "multiclass_accuracy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassificationScores:
    """What a table of scores is worth.

    Args:
        classes: names, in the order of the columns.
        per_class: for ``auroc``, and with thresholds ``mcc``, ``f1``, ``accuracy``: estimates and bounds, arrays [K].
        mean: the same over the classes, numbers; classes that are ``nan`` are left out.
        present: samples of each class that have it, [K].
        absent: samples of each class that do not have it, [K].
        thresholds: [K], or None.
    """

    classes: tuple[str, ...]
    per_class: dict[str, Interval]
    mean: dict[str, Interval]
    present: NDArray[np.intp]
    absent: NDArray[np.intp]
    thresholds: Floats | None

    @property
    def one_sided(self) -> tuple[str, ...]:
        """Classes without both outcomes, which have no score."""
        return tuple(name for name, P, N in zip(self.classes, self.present, self.absent, strict=True) if not (P and N))

    def to_dict(self) -> dict[str, Any]:
        """The numbers for a JSON file; what is not defined is null."""
        classes = {}
        for k, name in enumerate(self.classes):
            entry: dict[str, Any] = {"present": int(self.present[k]), "absent": int(self.absent[k])}
            if self.thresholds is not None:
                entry["threshold"] = _number(self.thresholds[k])
            classes[name] = entry | {
                score: [_number(bound[k]) for bound in interval] for score, interval in self.per_class.items()
            }
        mean = {score: [_number(bound) for bound in interval] for score, interval in self.mean.items()}
        return {"mean": mean, "classes": classes, "one_sided": list(self.one_sided)}


def classification_scores(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    thresholds: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    clusters: Sequence[Any] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> ClassificationScores:
    """Score a multi-label classifier, each class alone and on average.

    AUROC needs no threshold; MCC, F1 (mean over the two outcomes) and accuracy are given where there are thresholds.
    Estimates come from torchmetrics. MCC is 0 where all samples of a class are called alike.

    Samples are drawn with replacement, all classes at once. In a resample where a class has one outcome only it has no
    score and is left out. (Official: F1 and accuracy are taken from the whole set in every resample, so their intervals
    have no width, and a failed resample repeats the AUROC of the one before, quirk Q23.)

    Args:
        scores: [N, K], higher means more likely; any scale.
        labels: [N, K], 1 present, 0 absent, -1 unknown, which is left out class by class.
        thresholds: [K] of :func:`choose_thresholds` on other data; positive is a score at or above. ``nan`` where a
            class has none.
        classes: names of the classes, by default their numbers.
        clusters: what is drawn in place of samples: the patient of each.
        resamples: number of resamples.
        level: confidence level, between 0 and 1.
        seed: of the draws.

    Raises:
        ValueError: shapes that differ or are empty, scores that are not finite, other labels, or an argument out of
            range.
    """
    outcomes = known_outcomes(scores, labels)
    N, K = np.shape(scores)
    cuts = None if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if cuts is not None and cuts.shape != (K,):
        raise ValueError(f"thresholds must be [{K}], one for each class, got shape {list(cuts.shape)}")
    names = tuple(str(k) for k in range(K)) if classes is None else tuple(classes)
    if len(names) != K or len(set(names)) < K:
        raise ValueError(f"classes must be {K} different names, got {names}")
    estimates = [
        _estimate(outcomes[k], None if cuts is None else float(cuts[k])) for k in range(K)
    ]  # K dicts of numbers
    drawn: dict[str, list[Floats]] = {name: [] for name in estimates[0]}
    units = resampled_units(clusters, N)
    for block in resample_counts(int(units.max()) + 1, resamples, seed):
        weights = block[:, units]  # [r, N]
        columns = [_replicate(outcomes[k], None if cuts is None else float(cuts[k]), weights) for k in range(K)]
        for name, blocks in drawn.items():
            blocks.append(np.stack([column[name] for column in columns], axis=1))
    per_class, mean = {}, {}
    for name, blocks in drawn.items():
        estimate = np.array([entry[name] for entry in estimates])
        replicates = np.concatenate(blocks)  # [R, K]
        per_class[name] = percentile_interval(estimate, replicates, level)
        overall = percentile_interval(_nan_mean(estimate), _nan_mean(replicates), level)
        mean[name] = Interval(*(float(bound) for bound in overall))
    present = np.array([entry.positive.sum() for entry in outcomes])
    absent = np.array([(~entry.positive).sum() for entry in outcomes])
    return ClassificationScores(names, per_class, mean, present, absent, cuts)


def multiclass_accuracy(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    clusters: Sequence[Any] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Share of samples whose class has the highest score, for sets such as the 5 x 200 ones: one class a sample.

    Of equal scores the first class counts.

    Args:
        scores: [N, K].
        labels: [N] numbers of the classes, or [N, K] with a single 1 a row.
        clusters: what is drawn in place of samples: the patient of each.
        resamples: number of resamples.
        level: confidence level, between 0 and 1.
        seed: of the draws.

    Raises:
        ValueError: shapes that do not fit, scores that are not finite, a row without exactly one class, or an argument
            out of range.
    """
    table, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2 or not table.size or truth.shape not in (table.shape, table.shape[:1]):
        raise ValueError(f"scores must be [N, K], labels [N] or [N, K]: got {list(table.shape)}, {list(truth.shape)}")
    if not np.isfinite(table).all():
        raise ValueError(f"the scores of sample {np.argwhere(~np.isfinite(table))[0][0]} are not finite numbers")
    if truth.ndim == 2:
        wrong = np.flatnonzero((truth == 1).sum(1) != 1)
        if len(wrong):
            raise ValueError(f"sample {wrong[0]} has {(truth[wrong[0]] == 1).sum()} classes, not exactly one")
        truth = (truth == 1).argmax(1)
    elif not np.isin(truth, np.arange(table.shape[1])).all():
        raise ValueError(f"labels must be from 0 to {table.shape[1] - 1}, got {truth.min()} to {truth.max()}")
    hits = table.argmax(1) == truth
    return bootstrap_interval(hits, clusters=clusters, resamples=resamples, level=level, seed=seed)


def _estimate(outcomes: Outcomes, cut: float | None) -> dict[str, float]:
    # Not at the top: torchmetrics takes seconds to import, and every training run imports this package.
    from torchmetrics.functional.classification import (
        binary_accuracy,
        binary_auroc,
        binary_matthews_corrcoef,
        multiclass_f1_score,
    )

    names = ("auroc",) if cut is None else ("auroc", "mcc", "f1", "accuracy")
    if outcomes.one_sided:
        return dict.fromkeys(names, math.nan)
    positive = torch.from_numpy(outcomes.positive).long()
    # Ranks in place of scores: what is not in 0..1 would go through a sigmoid, which makes large scores equal.
    ranks = np.unique(outcomes.scores, return_inverse=True)[1]
    found = {"auroc": binary_auroc(torch.from_numpy(ranks / (ranks.max() + 1)), positive).item()}
    if cut is None:
        return found
    if math.isnan(cut):
        return found | dict.fromkeys(names[1:], math.nan)
    predicted = torch.from_numpy(outcomes.scores >= cut).long()
    # torchmetrics smooths the undefined MCC of a constant prediction into values as large as 0.27.
    mcc = binary_matthews_corrcoef(predicted, positive).item() if 0 < predicted.sum() < len(predicted) else 0.0
    f1 = multiclass_f1_score(predicted, positive, num_classes=2, average="macro").item()
    return found | {"mcc": mcc, "f1": f1, "accuracy": binary_accuracy(predicted, positive).item()}


def _replicate(outcomes: Outcomes, cut: float | None, weights: Floats) -> dict[str, Floats]:
    if outcomes.one_sided:
        names = ("auroc",) if cut is None else ("auroc", "mcc", "f1", "accuracy")
        return {name: np.full(len(weights), np.nan) for name in names}
    weights = weights[:, outcomes.rows]
    found = {"auroc": weighted_auroc(outcomes.scores, outcomes.positive, weights)}
    if cut is not None:
        values = weighted_confusion_scores(outcomes.scores >= cut, outcomes.positive, weights)
        found |= {name: np.full_like(value, np.nan) if math.isnan(cut) else value for name, value in values.items()}
    return found


def _nan_mean(values: Floats) -> Floats:
    """Mean over the last axis without nan; nan where there is nothing else."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
