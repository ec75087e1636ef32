# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points: temperature and threshold of each class, chosen on validation data and kept in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.calibration import calibrated_probabilities, fit_temperature
from radbundles.components.evaluation.classification_table import PredictionTable
from radbundles.components.evaluation.result import read_json

__all__ = ["DEFAULT_THRESHOLD", "check_rule", "operating_points", "read_points"]

DEFAULT_THRESHOLD = 0.5
Floats = NDArray[np.float64]


def operating_points(table: PredictionTable, rule: str = "youden") -> dict[str, Any]:
    """Fit temperatures, and choose thresholds on the calibrated probabilities; positive is at or above.

    A threshold lies halfway between the lowest probability that is called positive and the next one, so that no sample
    changes sides by rounding. Of several equally good ones the highest is taken.

    Args:
        table: predictions on the validation section.
        rule: what is best: ``youden`` (sensitivity + specificity), ``mcc``, ``f1``, ``sensitivity@0.9`` (the highest
            threshold that reaches this sensitivity) or ``specificity@0.9`` (the lowest one that reaches this
            specificity). A ``multiclass`` table has no thresholds: the class of the highest probability is called.

    Returns:
        ``rule``, ``thresholds`` ({class: number}, None for a class that validation does not have with both outcomes),
        ``temperature`` of :func:`fit_temperature` and ``samples``.

    Raises:
        ValueError: the rule is none of these.
    """
    check_rule(rule)
    temperature = fit_temperature(table.logits, table.labels, table.task, table.classes)
    thresholds: dict[str, float | None] = dict.fromkeys(table.classes)
    if table.task == "multilabel":
        probabilities = calibrated_probabilities(table.logits, table.task, table.classes, temperature)
        for k, name in enumerate(table.classes):
            known = table.labels[:, k] >= 0
            thresholds[name] = _threshold(probabilities[known, k], table.labels[known, k] == 1, rule)
    return {
        "rule": rule if table.task == "multilabel" else "highest probability",
        "thresholds": thresholds,
        "temperature": temperature,
        "samples": len(table),
    }


def check_rule(rule: str) -> None:
    """Raise a ValueError unless :func:`operating_points` knows the rule."""
    reach = re.fullmatch(r"(?:sensitivity|specificity)@(\d*\.?\d+)", rule)
    if rule not in ("youden", "mcc", "f1") and not (reach and 0 < float(reach[1]) <= 1):
        raise ValueError(f"rule must be youden, mcc, f1, sensitivity@X or specificity@X with X in 0..1, got {rule!r}")


def read_points(
    source: str | os.PathLike[str] | Mapping[str, Any], *, task: str, classes: Sequence[str]
) -> dict[str, Any]:
    """Operating points of a file, or of a bundle's metadata, for this task and these classes.

    Args:
        source: the file that :class:`~radbundles.components.evaluation.FitOperatingPoints` wrote, or its content.
        task: of the evaluator.
        classes: of the evaluator, in its order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another task or other classes.
    """
    is_path = not isinstance(source, Mapping)
    points = read_json(source, "file of operating points") if not isinstance(source, Mapping) else dict(source)
    place = f"the operating points{f' in {source}' if is_path else ''}"
    for key, wanted in (("task", task), ("classes", list(classes))):
        if points.get(key) != wanted:
            raise ValueError(f"{place} are for {key} {points.get(key)!r}, but the model has {wanted!r}")
    return points


def _threshold(probabilities: Floats, positive: NDArray[np.bool_], rule: str) -> float | None:
    P, N = int(positive.sum()), int((~positive).sum())
    if not (P and N):
        return None
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))  # last of each run of equal ones
    # Entry 0 calls nothing positive, entry i the i highest distinct probabilities.
    tp = np.concatenate([[0.0], np.cumsum(positive[order])[ends]])
    fp = np.concatenate([[0.0], (ends + 1) - tp[1:]])
    distinct = np.concatenate([[1.0], ranked[ends], [0.0]])
    tn, fn = N - fp, P - tp
    if rule.startswith("sensitivity@"):
        place = int(np.argmax(tp / P >= float(rule.partition("@")[2])))
    elif rule.startswith("specificity@"):
        place = int(np.flatnonzero(tn / N >= float(rule.partition("@")[2]))[-1])
    elif rule == "f1":
        place = int(np.argmax(2 * tp / (2 * tp + fp + fn)))
    elif rule == "mcc":
        spread = np.sqrt((tp + fp) * (tn + fn) * P * N)
        place = int(np.argmax(np.divide(tp * tn - fp * fn, spread, out=np.zeros_like(tp), where=spread > 0)))
    else:
        place = int(np.argmax(tp / P + tn / N))
    cut = (distinct[place] + distinct[place + 1]) / 2
    # Two neighbors may have no number between them, and 1 may have been reached.
    return float(cut if cut > distinct[place + 1] else distinct[place] if place else np.nextafter(1.0, 2.0))
