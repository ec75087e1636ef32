# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Precision-recall and FROC curves of a detector as charts of a page, and the FROC as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.page import BESIDE, interval_text
from radbundles.components.evaluation.result import as_json
from radbundles.components.metrics.detection_matches import Matches
from radbundles.components.metrics.detection_scores import FROC_RATES
from radbundles.components.reports.blocks import Block, Curve, Curves, Line, Table

__all__ = ["detection_curves"]

Floats = NDArray[np.float64]
A_CHART = 5  # lines that can be told apart
MOST_POINTS = 200  # of a line; more are not seen
ALARMS = "false alarms per image"


def detection_curves(
    per_class: Sequence[Matches], classes: Sequence[str], iou: float, froc: Mapping[str, Any]
) -> list[Block]:
    """Sections of the page; classes without a true box have no curve.

    Args:
        per_class: matches of the K classes.
        classes: their names.
        iou: overlap of a hit.
        froc: of :func:`~radbundles.components.evaluation.detection_result.evaluate_detection`.
    """
    shown = [(name, matches) for name, matches in zip(classes, per_class, strict=True) if matches.truths.any()]
    if not shown:
        return []
    precision, alarms = [], []
    for name, matches in shown:
        hits = matches.hits[matches.place(iou)]
        ends = np.flatnonzero(np.diff(matches.scores, append=-np.inf))  # last of each run of equal scores
        found = np.cumsum(hits)[ends]
        recall = found / matches.truths.sum()
        precision.append(_line(name, "recall", recall, found / (ends + 1)))
        rate = (ends + 1 - found) / len(matches.truths)
        seen = rate <= FROC_RATES[-1]
        alarms.append(_line(name, ALARMS, np.append(0, rate[seen]), np.append(0, recall[seen])))
    return [
        Curves(
            title="Precision and recall",
            curves=_charts(precision, "Precision", "recall", limits=(0, 1)),
            text="Share of the detections that hit a true box (upwards) for each share of the true boxes that are hit, "
            f"at an overlap (IoU) of {iou:g}.",
        ),
        Curves(
            title="FROC",
            curves=_charts(alarms, "Sensitivity", ALARMS),
            text="Share of the true boxes that are hit (upwards) for each number of false alarms per image.",
        ),
        *_tables([name for name, _ in shown], as_json(froc)),
    ]


def _tables(classes: Sequence[str], froc: Mapping[str, Any]) -> list[Table]:
    """Sensitivity at each rate, few classes beside each other."""
    columns = {name: froc["classes"][name] for name in classes}
    if len(classes) > 1:
        columns = {"mean over the classes": froc["mean"], **columns}
    names = list(columns)
    return [
        Table(
            title="Sensitivity at false alarms" if not start else "Sensitivity at false alarms, continued",
            columns=[ALARMS, *names[start : start + BESIDE]],
            rows=[
                [str(Fraction(rate)), *(interval_text(columns[name][place]) for name in names[start : start + BESIDE])]
                for place, rate in enumerate(froc["rates"])
            ],
        )
        for start in range(0, len(names), BESIDE)
    ]


def _line(label: str, x: str, horizontal: Floats, vertical: Floats) -> Line:
    shown = np.unique(np.linspace(0, len(horizontal) - 1, min(len(horizontal), MOST_POINTS)).round().astype(int))
    rows = [{x: float(horizontal[place]), "y": float(vertical[place])} for place in shown]
    return Line(label=label, rows=rows, key="y")


def _charts(lines: list[Line], title: str, x: str, limits: tuple[float, float] | None = None) -> list[Curve]:
    return [
        Curve(title=title, lines=lines[start : start + A_CHART], x=x, limits=limits)
        for start in range(0, len(lines), A_CHART)
    ]
