# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluator of classifiers: logits and labels become rows, rows operating points and a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from monai.utils import CommonKeys as Keys
from monai.utils import convert_to_numpy
from numpy.typing import NDArray

from radbundles.components.evaluation.calibration import Task
from radbundles.components.evaluation.classification_curves import classification_curves
from radbundles.components.evaluation.classification_scores import (
    calibration_scores,
    classification_result,
    confusion_matrix,
    two_sided,
)
from radbundles.components.evaluation.classification_table import PredictionTable
from radbundles.components.evaluation.facts import subgroup_rows
from radbundles.components.evaluation.operating import DEFAULT_THRESHOLD, check_rule, operating_points
from radbundles.components.evaluation.protocol import Evaluation, Facts
from radbundles.components.reports.blocks import Block, Cell, Table

__all__ = ["ClassificationEvaluator"]


class _Row(NamedTuple):
    logits: NDArray[np.float32]
    labels: NDArray[np.int8]


class ClassificationEvaluator:
    """Judge a classifier; plugs into the handlers of this package, see their :class:`Evaluator` protocol.

    Its engine's output holds ``image["id"]`` (list of B), ``image["labels"]`` ([B, K]: 1 present, 0 absent, -1 unknown)
    and ``pred["logits"]`` ([B, K]). In a config::

        {"_target_": "radbundles.components.evaluation.ClassificationEvaluator",
         "classes": "@classes", "task": "multilabel", "rule": "sensitivity@0.9"}

    Args:
        classes: names of the K classes.
        task: ``multilabel`` or ``multiclass`` (exactly one class a sample).
        rule: by which thresholds are chosen on validation, see :func:`operating_points`.
        ordinal: the classes are in an order, e.g. grades: quadratic weighted kappa too.
        resamples: number of resamples of the patients.
        level: confidence level.
        seed: of the draws.

    Raises:
        ValueError: fewer than two classes of a multi-class task, a name twice, another task, an unknown rule, or
            ``ordinal`` for a multi-label task.
    """

    def __init__(
        self,
        classes: Sequence[str],
        task: Task = "multilabel",
        *,
        rule: str = "youden",
        ordinal: bool = False,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.classes = tuple(classes)
        if len(set(self.classes)) < len(self.classes) or len(self.classes) < (2 if task == "multiclass" else 1):
            raise ValueError(f"a {task} evaluator needs different names of classes, got {list(classes)}")
        if task not in ("multilabel", "multiclass"):
            raise ValueError(f"task must be 'multilabel' or 'multiclass', got {task!r}")
        if ordinal and task != "multiclass":
            raise ValueError("ordinal classes are for task 'multiclass'; those of a multilabel task have no order")
        check_rule(rule)
        self.task: Task = task
        self.rule = rule
        self.ordinal = ordinal
        self.draws: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}

    def collect(self, output: Mapping[str, Any]) -> dict[str, _Row]:
        """Logits and labels of one batch by id."""
        batch, pred = output[Keys.IMAGE], output[Keys.PRED]
        # bfloat16 has no NumPy type
        logits, labels = convert_to_numpy(pred["logits"].float()), convert_to_numpy(batch["labels"])
        if logits.shape != labels.shape or logits.shape[1:] != (len(self.classes),):
            raise ValueError(
                f"logits and labels must be [B, {len(self.classes)}], got {list(logits.shape)} and {list(labels.shape)}"
            )
        return {
            id: _Row(logit, label.astype(np.int8)) for id, logit, label in zip(batch["id"], logits, labels, strict=True)
        }

    def table(self, rows: Mapping[str, _Row], facts: Mapping[str, Facts] | None = None) -> PredictionTable:
        """The rows as a table; without facts each sample is a patient of its own."""
        known = facts or {id: Facts(number) for number, id in enumerate(rows)}
        return PredictionTable(
            task=self.task,
            classes=self.classes,
            ids=tuple(rows),
            clusters=np.array([known[id].cluster for id in rows], dtype=np.intp),
            logits=np.stack([row.logits for row in rows.values()]).astype(np.float64),
            labels=np.stack([row.labels for row in rows.values()]),
            groups=tuple(known[id].groups for id in rows),
        )

    def fit_points(self, rows: Mapping[str, _Row]) -> dict[str, Any]:
        """Temperatures and thresholds of :func:`operating_points`."""
        return operating_points(self.table(rows), self.rule)

    def finish(
        self, rows: Mapping[str, _Row], points: Mapping[str, Any] | None, facts: Mapping[str, Facts]
    ) -> Evaluation:
        """Scores, calibration, subgroups, curves and, for a multi-class task, the confusion matrix."""
        return self.judge(self.table(rows, facts), points)

    def judge(self, table: PredictionTable, points: Mapping[str, Any] | None) -> Evaluation:
        """What :meth:`finish` does, from a table, e.g. one that was read from its file."""
        result = {
            "task": self.task,
            "samples": len(table),
            "patients": _patients(table),
            **classification_result(table, points, ordinal=self.ordinal, **self.draws),
            "operating_points": None if points is None else dict(points),
            "calibration": calibration_scores(table, points, **self.draws),
            "subgroups": {
                column: {value: self._subgroup(table.take(rows), points) for value, rows in parts.items()}
                for column, parts in subgroup_rows(table.groups).items()
            },
        }
        blocks: list[Block] = []
        if self.task == "multiclass":
            counts = confusion_matrix(table, points)
            result["confusion"] = {"rows": "true", "columns": "called", "counts": counts}
            blocks.append(_confusion_block(self.classes, counts))
        result["notes"] = self._notes(table, points)
        return Evaluation(result, [*blocks, *classification_curves(table)], table)

    def _subgroup(self, table: PredictionTable, points: Mapping[str, Any] | None) -> dict[str, Any]:
        found = classification_result(table, points, ordinal=self.ordinal, **self.draws)
        counts = {"samples": len(table), "patients": _patients(table)}
        # Groups whose means are over different classes cannot be compared.
        counts |= {"classes_in_mean": found["classes_in_mean"]} if self.task == "multilabel" else {}
        return counts | found["mean"] | {"classes": found["classes"]}

    def _notes(self, table: PredictionTable, points: Mapping[str, Any] | None) -> list[str]:
        notes = []
        unknown = int((table.labels < 0).sum())
        if unknown:
            notes.append(f"{unknown} of {table.labels.size} labels are unknown and enter no score.")
        judged = two_sided(table)
        one_sided = [name for k, name in enumerate(self.classes) if k not in judged]
        if one_sided:
            notes.append(
                f"Left out of the means, since this section lacks one of the outcomes: {', '.join(one_sided)}."
            )
        if points is not None and self.task == "multilabel":
            default = [name for name, cut in points["thresholds"].items() if cut is None]
            if default:
                notes.append(
                    f"The section that the operating points come from lacks both outcomes of {', '.join(default)}: "
                    f"threshold {DEFAULT_THRESHOLD} was taken."
                )
        notes.append(
            "The calibration error of a few samples is too high by chance, and more so in resamples: its interval may "
            "lie above the estimate."
        )
        return notes


def _patients(table: PredictionTable) -> int:
    return len(set(table.clusters.tolist()))


def _confusion_block(classes: Sequence[str], counts: NDArray[np.intp]) -> Table:
    totals = counts.sum(1)
    rows: list[list[Cell]] = [
        [name, *(f"{n} ({n / total:.0%})" if total else str(n) for n in row.tolist()), int(total)]
        for name, row, total in zip(classes, counts, totals, strict=True)
    ]
    return Table(
        title="Confusion",
        columns=["true", *(f"called {name}" for name in classes), "samples"],
        rows=rows,
        text="Samples of each true class (rows) by the class called (columns), and their share of the row.",
    )
