# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One page about an evaluation: figures with intervals, subgroups, operating points, calibration, what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radbundles.components.reports.blocks import Block, Cell, Curve, Curves, KeyFigure, Line, Page, Table

__all__ = ["evaluation_page"]

NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "mcc": "MCC",
    "ece": "ECE",
    "brier": "Brier score",
    "iou": "IoU",
    "map": "mAP",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ar100": "AR100",
    "froc": "FROC",
    "hausdorff95": "Hausdorff 95 %",
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "quadratic kappa",
}
TASKS = {
    "multilabel": "Multi-label classification",
    "multiclass": "Multi-class classification",
    "segmentation": "Segmentation",
    "detection": "Detection",
}
BESIDE = 4  # columns of intervals that a page of paper holds
SECTION_NOTE = "Patients are resampled; in brackets the bounds of the confidence interval."


def evaluation_page(
    result: Mapping[str, Any],
    blocks: Sequence[Block] = (),
    *,
    title: str,
    manifest: Mapping[str, Any] | None = None,
) -> Page:
    """Lay out a result for people.

    Args:
        result: content of ``evaluation.json``, see :class:`~radbundles.components.evaluation.Evaluation`.
        blocks: sections of the task itself, such as curves; they stand behind the figures per class.
        title: heading, e.g. the name of what was judged.
        manifest: of the run, shown folded at the end.
    """
    scored = [name for name, entry in result["mean"].items() if entry[0] is not None]
    many = len(result["classes"]) > 1
    over = f", {_over(result)}" if many else ""
    about = f"{result['samples']} samples of {result['patients']} patients in the section “{result['section']}”"
    lead = f"{TASKS.get(result['task'], result['task'])} judged on {about}."
    if scored:
        name = _name(scored[0])
        lead += f" {name[0].upper()}{name[1:]} {interval_text(result['mean'][scored[0]])}{over}."
    return Page(
        title=title,
        lead=lead,
        key_figures=[
            KeyFigure(label=_name(name), value=f"{result['mean'][name][0]:.3f}", note=_range(result["mean"][name]))
            for name in scored[:BESIDE]
        ],
        blocks=[
            *_notes(result),
            *_classes(result),
            *([_mean(result)] if many else []),
            *blocks,
            *_operating(result),
            *_calibration(result),
            *_subgroups(result),
        ],
        manifest=manifest,
    )


def interval_text(entry: Sequence[float | None]) -> str | None:
    """``0.912 (0.871 to 0.946)``; None where the score is not defined, which a table shows as a dash."""
    return None if entry[0] is None else f"{entry[0]:.3f} {_range(entry)}".strip()


def _notes(result: Mapping[str, Any]) -> list[Block]:
    notes = result.get("notes") or []
    return [Table(title="What to know", columns=["note"], rows=[[note] for note in notes])] if notes else []


def _classes(result: Mapping[str, Any]) -> list[Block]:
    """Counts and four scores of each class a table, so that no table runs out of the page."""
    classes = result["classes"]
    counts, scores = _columns(classes)
    blocks: list[Block] = []
    first = _beside(counts)
    starts = [0, *range(first, len(scores), BESIDE)]
    for start, end in zip(starts, [*starts[1:], len(scores)], strict=True):
        shown = scores[start:end]
        beside = counts if start == 0 else []
        rows = [
            [name, *(_count(entry.get(key)) for key in beside), *(_score(entry.get(key)) for key in shown)]
            for name, entry in classes.items()
        ]
        title = "Per class" if start == 0 else "Per class, continued"
        columns = ["class", *map(_name, [*beside, *shown])]
        blocks.append(Table(title=title, columns=columns, rows=rows, text=SECTION_NOTE if start == 0 else ""))
    return blocks


def _mean(result: Mapping[str, Any]) -> Table:
    rows = [[_name(name), interval_text(entry)] for name, entry in result["mean"].items()]
    return Table(title="Over the classes", columns=["score", _over(result)], rows=rows)


def _operating(result: Mapping[str, Any]) -> list[Block]:
    points = result.get("operating_points")
    if not points:
        return []
    temperature = points.get("temperature") or {}
    thresholds = points.get("thresholds") or {}
    rows: list[list[Cell]] = [
        [name, _decimal(cut), _decimal(temperature.get(name, temperature.get("all")))]
        for name, cut in thresholds.items()
    ]
    columns = ["class", "threshold", "temperature"]
    if all(cut is None for cut in thresholds.values()):  # a choice among classes has none
        columns, rows = [columns[2]], [[_decimal(value)] for value in temperature.values()]
    chosen = f"Chosen on {points['samples']} samples of the section “{points['section']}”"
    text = f"{chosen}, by the rule {points['rule']}; never on what is judged here."
    if points["section"] == result["section"]:
        text = f"{chosen}, by the rule {points['rule']}: the very section judged here, which flatters the figures."
    return [Table(title="Operating points", columns=columns, rows=rows, text=text)]


def _calibration(result: Mapping[str, Any]) -> list[Block]:
    found = result.get("calibration") or {}
    stages = [stage for stage in ("before", "after") if found.get(stage)]
    if not stages:
        return []
    names = {stage: f"{stage} temperature scaling" for stage in stages}
    measures = list(dict.fromkeys(name for stage in stages for name in found[stage]))
    rows: list[list[Cell]] = [
        [_name(name), *(interval_text(found[stage].get(name, [None])) for stage in stages)] for name in measures
    ]
    blocks: list[Block] = [Table(title="Calibration", columns=["score", *names.values()], rows=rows)]
    bins = {names[stage]: found["bins"][stage] for stage in stages if stage in (found.get("bins") or {})}
    if bins:
        blocks.append(_reliability(bins))
    return blocks


def _reliability(bins: Mapping[str, Mapping[str, Any]]) -> Curves:
    """Reliability picture, and how many samples each of its points stands for."""
    observed, shares = [], []
    for name, entry in bins.items():
        total = sum(entry["count"]) or 1
        rows = [
            {"predicted": predicted, "observed": seen, "share": count / total}
            for predicted, seen, count in zip(entry["predicted"], entry["observed"], entry["count"], strict=True)
        ]
        observed.append(Line(label=name, rows=rows, key="observed"))
        shares.append(Line(label=name, rows=rows, key="share"))
    ideal = [{"predicted": end, "observed": end} for end in (0.0, 1.0)]
    observed.append(Line(label="as it should be", rows=ideal, key="observed"))
    curves = [
        Curve(title="Share that is so", lines=observed, x="predicted", limits=(0, 1)),
        Curve(title="Share of all samples", lines=shares, x="predicted"),
    ]
    text = "Left: how often what got a probability is so (upwards), in bins of equal width. Right: how many are there."
    return Curves(title="Reliability", curves=curves, text=text)


def _subgroups(result: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    for column, values in (result.get("subgroups") or {}).items():
        counts, scores = _columns(values)
        shown = scores[: _beside(counts)]
        rows = [
            [value, *(_count(entry.get(key)) for key in counts), *(_score(entry.get(key)) for key in shown)]
            for value, entry in values.items()
        ]
        text = "Groups whose intervals overlap widely, or whose means are over different classes, tell nothing apart."
        columns = [column.removeprefix("metadata."), *map(_name, [*counts, *shown])]
        blocks.append(Table(title=f"By {columns[0]}", columns=columns, rows=rows, text=text))
    return blocks


def _columns(entries: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Names of the numbers, and of the scores with intervals, of classes or subgroups."""
    keys = dict.fromkeys(key for entry in entries.values() for key in entry)
    kinds = {key: next(entry[key] for entry in entries.values() if key in entry) for key in keys}
    counts = [key for key, value in kinds.items() if value is None or isinstance(value, (int, float))]
    return counts, [key for key, value in kinds.items() if isinstance(value, list)]


def _beside(counts: Sequence[str]) -> int:
    """Scores that fit beside some counts, of which two are as wide as one score."""
    return max(1, BESIDE - (len(counts) + 1) // 2)


def _over(result: Mapping[str, Any]) -> str:
    return "over the classes" if result["task"] == "multiclass" else "mean over the classes"


def _name(key: str) -> str:
    return NAMES.get(key, key.replace("_", " "))


def _range(entry: Sequence[float | None]) -> str:
    low, high = (entry[1], entry[2]) if len(entry) == 3 else (None, None)
    return f"({low:.3f} to {high:.3f})" if low is not None and high is not None else ""


def _score(entry: Any) -> Cell:
    return interval_text(entry) if isinstance(entry, list) else None


def _count(value: Any) -> Cell:
    return _decimal(value) if isinstance(value, float) else value


def _decimal(value: float | None) -> Cell:
    return None if value is None else round(float(value), 3)
