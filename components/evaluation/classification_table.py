# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Logits and labels of all samples: the table from which every classification result can be computed again."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.calibration import Task

__all__ = ["PredictionTable", "hashed_id"]


def hashed_id(id: str, salt: str) -> str:
    """First 12 digits of the SHA-256 of salt and id, for tables that are published.

    Without the salt nobody can tell which id it was by trying ids; the same salt gives the same name in every table.
    """
    return hashlib.sha256(f"{salt}\0{id}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class PredictionTable:
    """What a classifier said of N samples, and what is true.

    Args:
        task: ``multilabel`` or ``multiclass``.
        classes: names of the K classes.
        ids: of the samples, each once.
        clusters: running number of the patient of each.
        logits: [N, K], finite; rounded to single precision, in which the file has them.
        labels: [N, K], 1 present, 0 absent, -1 unknown. A ``multiclass`` row without exactly one 1 becomes unknown.
        groups: value of each sample in each column, e.g. ``{"sex": "F"}``; the same columns in all.

    Raises:
        ValueError: an unknown task, lengths or shapes that do not fit, an id or a class twice, a logit that is not
            finite or another label; names the sample.
    """

    task: Task
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    clusters: NDArray[np.intp]
    logits: NDArray[np.float64]
    labels: NDArray[np.int8]
    groups: tuple[Mapping[str, str], ...]
    suffix = ".csv"

    def __post_init__(self) -> None:
        if self.task not in ("multilabel", "multiclass"):
            raise ValueError(f"task must be 'multilabel' or 'multiclass', got {self.task!r}")
        shape = (len(self.ids), len(self.classes))
        if self.logits.shape != shape or self.labels.shape != shape:
            raise ValueError(
                f"logits and labels must both be {list(shape)}, got {list(self.logits.shape)} and "
                f"{list(self.labels.shape)}"
            )
        if not len(self.clusters) == len(self.groups) == len(self.ids):
            raise ValueError(f"{len(self.ids)} ids, {len(self.clusters)} clusters and {len(self.groups)} groups")
        for names, what in ((self.ids, "id"), (self.classes, "class")):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{what} {twice!r} occurs twice")
        wrong = np.argwhere(~np.isfinite(self.logits))
        if len(wrong):
            raise ValueError(f"id {self.ids[wrong[0][0]]!r}: the logit of {self.classes[wrong[0][1]]} is not finite")
        wrong = np.argwhere(~np.isin(self.labels, (1, 0, -1)))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"id {self.ids[row]!r}: the label of {self.classes[column]} is {self.labels[row, column]}, not 1 "
                "(present), 0 (absent) or -1 (unknown)"
            )
        object.__setattr__(self, "logits", self.logits.astype(np.float32).astype(np.float64))
        if self.task == "multiclass":
            one = (self.labels == 1).sum(1, keepdims=True) == 1
            object.__setattr__(self, "labels", np.where(one, self.labels == 1, -1).astype(np.int8))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> PredictionTable:
        """The table of some rows."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            clusters=self.clusters[rows],
            logits=self.logits[rows],
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
        )

    def hashed(self, salt: str) -> PredictionTable:
        """The same rows in the same order, so that intervals stay what they are, with ids of :func:`hashed_id`."""
        return replace(self, ids=tuple(hashed_id(id, salt) for id in self.ids))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the columns ``id``, ``patient``, ``logit <class>``, ``label <class>`` and ``group <column>``.

        Patients are numbered anew in the order of the rows. Reading the file gives back the same logits.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(self.groups[0]) if self.groups else []
        numbers: dict[int, int] = {}
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with open(partial, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            heads = [f"{kind} {name}" for kind in ("logit", "label") for name in self.classes]
            writer.writerow(["id", "patient", *heads, *(f"group {column}" for column in columns)])
            for row, id in enumerate(self.ids):
                patient = numbers.setdefault(int(self.clusters[row]), len(numbers))
                logits = [f"{value:.9g}" for value in self.logits[row]]
                groups = [self.groups[row][column] for column in columns]
                writer.writerow([id, patient, *logits, *self.labels[row].tolist(), *groups])
        os.replace(partial, path)

    @classmethod
    def read(cls, path: str | os.PathLike[str], task: Task) -> PredictionTable:
        """Read what :meth:`write` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a column is missing, or a cell is no number; names file and row.
        """
        with open(path, encoding="utf-8", newline="") as file:
            heads, *rows = list(csv.reader(file)) or [[]]
        classes = tuple(head.removeprefix("logit ") for head in heads if head.startswith("logit "))
        columns = [head.removeprefix("group ") for head in heads if head.startswith("group ")]
        wanted = ["id", "patient", *(f"{kind} {name}" for kind in ("logit", "label") for name in classes)]
        wanted += [f"group {column}" for column in columns]
        if heads != wanted or not classes:
            raise ValueError(f"{path} is no table of predictions: its columns are {', '.join(heads) or 'missing'}")
        K = len(classes)
        numbers = np.empty((len(rows), 1 + 2 * K))
        for place, row in enumerate(rows):
            try:
                numbers[place] = [float(cell) for cell in row[1 : 2 + 2 * K]]
            except ValueError as error:
                raise ValueError(f"{path}, row {place + 2}: {error}") from None
        return cls(
            task=task,
            classes=classes,
            ids=tuple(row[0] for row in rows),
            clusters=numbers[:, 0].astype(np.intp),
            logits=numbers[:, 1 : 1 + K],
            labels=numbers[:, 1 + K :].astype(np.int8),
            groups=tuple(_groups(columns, row[2 + 2 * K :]) for row in rows),
        )


def _groups(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return dict(zip(columns, cells, strict=True))
