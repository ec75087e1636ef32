# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluator of a task has to offer, so that collecting, operating points, files and the page are shared.

The handlers :class:`~radbundles.components.evaluation.FitOperatingPoints` and
:class:`~radbundles.components.evaluation.WriteEvaluation` keep the rows, take those of all processes together and write
the files; an evaluator knows the task alone and keeps nothing between two calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from radbundles.components.reports.blocks import Block

__all__ = ["Evaluation", "Evaluator", "Facts", "SampleTable"]


@dataclass(frozen=True)
class Facts:
    """What is known of a sample beyond its image and its truth.

    Args:
        cluster: running number of its patient, with which it is resampled; never the patient's own id.
        groups: its value in each column by which results are told apart, e.g. ``{"sex": "F", "age": "40 to 59"}``.
    """

    cluster: int
    groups: Mapping[str, str] = field(default_factory=dict)


class SampleTable(Protocol):
    """Rows of all samples, in a form from which every number of the result can be computed again."""

    @property
    def suffix(self) -> str:
        """Ending of its file: ``.csv`` or ``.jsonl``."""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""

    def hashed(self, salt: str) -> SampleTable:
        """The same rows with ids that are safe to publish."""


class Evaluation(NamedTuple):
    """What comes out of an evaluator.

    Args:
        result: the content of ``evaluation.json`` without ``section``, which the handler adds. Keys common to all
            tasks: ``task``, ``samples``, ``patients``, ``classes`` ({name: {counts, metric: [estimate, low, high]}}),
            ``mean`` ({metric: [..]}, the most important first), ``operating_points``, ``calibration``, ``subgroups``
            ({column: {value: {``samples``, ``patients``, metric: [..]}}}) and ``notes`` (sentences). Calibration has
            ``temperature``, ``before`` and ``after`` ({metric: [..]}) and ``bins`` ({``before``, ``after``}, each with
            lists ``predicted``, ``observed`` and ``count``, one entry a bin). It may hold nan and NumPy numbers; nan is
            written as null.
        blocks: sections that the page gets beside the common ones, e.g. curves and pictures.
        table: the rows.
    """

    result: dict[str, Any]
    blocks: Sequence[Block]
    table: SampleTable


class Evaluator(Protocol):
    """One task: how its batches become rows, and rows operating points and results.

    Args:
        task: ``multilabel``, ``multiclass``, ``segmentation`` or ``detection``.
        classes: names of the K classes.
    """

    task: str
    classes: tuple[str, ...]

    def collect(self, output: Mapping[str, Any]) -> dict[str, Any]:
        """Rows of one batch by id.

        Args:
            output: ``engine.state.output`` of a MONAI evaluator: the batch under ``image`` (a dict with ``id``), what
                the objective returned under ``pred``.

        Returns:
            id -> row. Rows are small and can be pickled, since those of all processes are exchanged at the end.
        """

    def fit_points(self, rows: Mapping[str, Any]) -> dict[str, Any]:
        """Operating points from rows of the validation section.

        Args:
            rows: rows of all processes in the order of their ids.

        Returns:
            JSON values: at least ``rule`` (str), ``thresholds`` ({class: number or None}), ``temperature`` ({class or
            "all": number}) and ``samples`` (int). The handler adds ``task``, ``classes`` and ``section``.
        """

    def finish(
        self, rows: Mapping[str, Any], points: Mapping[str, Any] | None, facts: Mapping[str, Facts]
    ) -> Evaluation:
        """Judge the rows; called on the first process alone.

        Args:
            rows: rows of all processes in the order of their ids.
            points: of :meth:`fit_points` on the validation section; None where nobody has made any: the evaluator then
                takes its plain defaults and says so in ``notes``.
            facts: patient and groups of each sample by id.
        """
