# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ROC and precision-recall curves of a table of predictions, as charts of a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from radbundles.components.evaluation.classification_table import PredictionTable
from radbundles.components.reports.blocks import Curve, Curves, Line

__all__ = ["classification_curves"]

Floats = NDArray[np.float64]
A_CHART = 5  # lines that can be told apart
MOST_POINTS = 200  # of a line; more are not seen


def classification_curves(table: PredictionTable) -> list[Curves]:
    """A section of ROC and precision-recall curves, side by side; classes without both outcomes have none."""
    ranks = table.logits if table.task == "multilabel" else softmax(table.logits, axis=1)
    roc, pr = [], []
    for k, name in enumerate(table.classes):
        known = table.labels[:, k] >= 0
        positive = table.labels[known, k] == 1
        if positive.any() and not positive.all():
            tp, fp = _counts(ranks[known, k], positive)
            P, N = positive.sum(), (~positive).sum()
            roc.append(_line(name, "1 - specificity", fp / N, tp / P))
            pr.append(_line(f"{name} ({P / (P + N):.2g})", "recall", tp[1:] / P, tp[1:] / (tp + fp)[1:]))
    if not roc:
        return []
    charts = zip(_charts(roc, "ROC: sensitivity", "1 - specificity"), _charts(pr, "Precision", "recall"), strict=True)
    text = (
        "Left: share found of the samples with the class (upwards) for each share of false alarms among those without. "
        "Right: share of true calls among all calls for each share found; calls by "
        "chance reach the prevalence (in brackets)."
    )
    return [Curves(title="At every threshold", curves=[chart for pair in charts for chart in pair], text=text)]


def _counts(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """True and false positives when nothing is called, then at each distinct score from the highest on."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))
    tp = np.concatenate([[0.0], np.cumsum(positive[order])[ends]])
    return tp, np.concatenate([[0.0], ends + 1.0]) - tp


def _line(label: str, x: str, horizontal: Floats, vertical: Floats) -> Line:
    shown = np.unique(np.linspace(0, len(horizontal) - 1, min(len(horizontal), MOST_POINTS)).round().astype(int))
    return Line(
        label=label, rows=[{x: float(horizontal[place]), "y": float(vertical[place])} for place in shown], key="y"
    )


def _charts(lines: list[Line], title: str, x: str) -> list[Curve]:
    return [
        Curve(title=title, lines=lines[start : start + A_CHART], x=x, limits=(0, 1))
        for start in range(0, len(lines), A_CHART)
    ]
