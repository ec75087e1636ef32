# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a table of masks, per class and over the classes, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.facts import subgroup_rows
from radbundles.components.evaluation.result import bounds
from radbundles.components.evaluation.segmentation_calibration import PixelCalibration
from radbundles.components.evaluation.segmentation_points import mask_levels
from radbundles.components.evaluation.segmentation_table import SegmentationTable

__all__ = ["evaluate_segmentation"]

Floats = NDArray[np.float64]


def evaluate_segmentation(
    table: SegmentationTable, points: Mapping[str, Any] | None = None, **draws: Any
) -> dict[str, Any]:
    """Judge a table of masks.

    ``dice``, ``iou``, ``sensitivity``, ``precision`` and distances are means over the images where the class is
    present; ``false_alarm`` over those where it is absent; ``official_dice``, areas, ``ece`` and ``brier`` (of the
    calibrated scores of pixels) over all images in which it is known. ``mean`` is the mean over the classes, leaving
    out those of which a score is not defined.

    Args:
        table: rows, cut at ``points``.
        points: of :func:`~radbundles.components.evaluation.segmentation_points.mask_points` on the validation section.
        draws: ``resamples``, ``level`` and ``seed`` of the bootstrap over patients.

    Returns:
        What :class:`~radbundles.components.evaluation.Evaluation` describes.

    Raises:
        ValueError: a table without rows.
    """
    if not len(table):
        raise ValueError("there is no image in which any of the classes is known: nothing to judge")
    temperatures = _temperatures(table, points)
    found = _scores(table, PixelCalibration(table, temperatures), draws)
    levels = mask_levels(points, table.classes)
    classes = {
        name: _counts(table, place)
        | {"threshold": float(expit(levels[place] / temperatures[place]))}
        | {score: bounds(interval, place) for score, interval in found["classes"].items()}
        for place, name in enumerate(table.classes)
    }
    return {
        "task": "segmentation",
        **_size(table),
        "classes": classes,
        "mean": {score: bounds(interval) for score, interval in found["mean"].items()},
        "operating_points": None if points is None else dict(points),
        "calibration": _calibration(table, points, draws),
        "subgroups": {
            column: {value: _subgroup(table.take(rows), temperatures, draws) for value, rows in parts.items()}
            for column, parts in subgroup_rows(table.groups).items()
        },
        "notes": _notes(table, points),
    }


def _scores(table: SegmentationTable, calibration: PixelCalibration, draws: Mapping[str, Any]) -> dict[str, Any]:
    """Intervals of the scores of ``classes`` (arrays [K]) and of their ``mean``."""
    member = table.places[:, None] == np.arange(len(table.classes))  # [N, K]
    # Distances in mm are left out where no file tells a spacing.
    values = {
        name: value for name, value in table.scores.items() if name != "hausdorff95_mm" or np.isfinite(value).any()
    }

    def score(weights: Floats) -> dict[str, Floats]:
        per_class = {}
        for name, value in values.items():
            known = ~np.isnan(value)
            sums = weights @ (np.where(known, value, 0)[:, None] * member)  # [R, K]
            with np.errstate(invalid="ignore"):
                per_class[name] = sums / (weights @ (known[:, None] & member).astype(np.float64))
        per_class |= calibration(weights)
        return per_class | {f"mean {name}": _mean(value) for name, value in per_class.items()}

    found = bootstrapped(score, table.clusters, **draws)
    means = {name.removeprefix("mean "): found.pop(name) for name in list(found) if name.startswith("mean ")}
    return {"classes": found, "mean": means}


def _calibration(
    table: SegmentationTable, points: Mapping[str, Any] | None, draws: Mapping[str, Any]
) -> dict[str, Any]:
    """Before and after the temperatures of the operating points; without points there is no after."""
    found: dict[str, Any] = {"temperature": None if points is None else points["temperature"]}
    bins = {}
    for stage, used in {"before": None, **({} if points is None else {"after": points})}.items():
        scores = PixelCalibration(table, _temperatures(table, used))

        def means(weights: Floats, scores: PixelCalibration = scores) -> dict[str, Floats]:
            return {name: _mean(value) for name, value in scores(weights).items()}

        found[stage] = {
            name: bounds(interval) for name, interval in bootstrapped(means, table.clusters, **draws).items()
        }
        bins[stage] = scores.reliability().to_dict()
    return found | {"bins": bins}


def _subgroup(table: SegmentationTable, temperatures: Sequence[float], draws: Mapping[str, Any]) -> dict[str, Any]:
    found = _scores(table, PixelCalibration(table, temperatures), draws)
    classes = {
        name: _counts(table, place) | {score: bounds(interval, place) for score, interval in found["classes"].items()}
        for place, name in enumerate(table.classes)
    }
    return _size(table) | {score: bounds(interval) for score, interval in found["mean"].items()} | {"classes": classes}


def _size(table: SegmentationTable) -> dict[str, int]:
    return {"samples": len(set(table.ids)), "patients": len(set(table.clusters.tolist()))}


def _counts(table: SegmentationTable, place: int) -> dict[str, int]:
    """Images in which a class is present, absent and unknown, and those where it is present and nothing predicted."""
    member = table.places == place
    present, silent = member & table.present, table.counts[:, 2] == 0
    return {
        "present": int(present.sum()),
        "absent": int((member & ~present).sum()),
        "unknown": len(set(table.ids)) - int(member.sum()),
        "missed": int((present & silent).sum()),
    }


def _temperatures(table: SegmentationTable, points: Mapping[str, Any] | None) -> list[float]:
    return [(points["temperature"].get(name) if points is not None else None) or 1.0 for name in table.classes]


def _mean(values: Floats) -> Floats:
    """Mean over the classes [R, K] -> [R], without what is not defined."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(1) / defined.sum(1))


def _notes(table: SegmentationTable, points: Mapping[str, Any] | None) -> list[str]:
    notes = []
    if points is None:
        notes.append("No operating points were given: masks are cut at a score of 0.5, and scores are not calibrated.")
    else:
        plain = [name for name in table.classes if points["thresholds"][name] is None]
        if plain:
            notes.append(f"The validation section has no mask of {', '.join(plain)}: cut at a score of 0.5.")
    counts = {name: _counts(table, place) for place, name in enumerate(table.classes)}
    if unknown := {name: count["unknown"] for name, count in counts.items() if count["unknown"]}:
        told = ", ".join(f"{name} ({count})" for name, count in unknown.items())
        notes.append(f"Unknown in some images, which enter no score of that class: {told}.")
    if bare := [name for name, count in counts.items() if not count["present"]]:
        notes.append(f"In no image of this section, and so without Dice and distance: {', '.join(bare)}.")
    if missed := {name: count["missed"] for name, count in counts.items() if count["missed"]}:
        told = ", ".join(f"{name} ({count})" for name, count in missed.items())
        notes.append(
            f"Nothing was predicted in some images where the class is present: {told}. Their Dice is 0; precision "
            "and distances are not defined and leave them out."
        )
    distances = table.scores["hausdorff95"], table.scores["hausdorff95_mm"]
    partly = int((np.isfinite(distances[0]) & ~np.isfinite(distances[1])).sum())
    if partly and np.isfinite(distances[1]).any():
        notes.append(f"{partly} masks lie in files that tell no pixel spacing: no distance in millimeters.")
    notes.append(
        "Masks were judged in the pixels of the stored images. Calibration is of pixels, each image weighing the same."
    )
    return notes
