# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that a table of detections says about a detector, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.bootstrapped import bootstrapped
from radbundles.components.evaluation.detection_calibration import box_calibration
from radbundles.components.evaluation.detection_points import calibrated_matches, class_thresholds
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.facts import subgroup_rows
from radbundles.components.evaluation.operating import DEFAULT_THRESHOLD
from radbundles.components.evaluation.result import bounds
from radbundles.components.metrics.detection_matches import COCO_IOUS, OFFICIAL_IOUS, Matches, match_boxes
from radbundles.components.metrics.detection_scores import (
    FROC_RATES,
    class_mean,
    coco_scores,
    cut_scores,
    froc_sensitivity,
    official_ecamp_map,
)

__all__ = ["DETECTION_SCORES", "evaluate_detection", "match_table"]

Floats = NDArray[np.float64]
# The first are the most important.
DETECTION_SCORES = (
    "ap",
    "ap50",
    "froc",
    "f1",
    "sensitivity",
    "precision",
    "false_alarms",
    "clean_negatives",
    "ap75",
    "ar100",
)


def evaluate_detection(
    table: DetectionTable,
    points: Mapping[str, Any] | None = None,
    *,
    iou: float = 0.5,
    matches: Sequence[Matches] | None = None,
    **draws: Any,
) -> dict[str, Any]:
    """Judge a table of detections.

    Per class ``ap`` (COCO, mean over the overlaps .50 to .95), ``ap50``, ``ap75`` and ``ar100``; ``froc``, the mean
    sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false alarms per image; and at the operating point ``sensitivity``,
    ``precision`` and ``f1`` of the boxes, ``false_alarms`` per image and ``clean_negatives``, the share of the images
    without the class in which nothing is found. ``mean`` is over the classes that have a true box in the table, and
    has ``official_map`` too, ECAMP's own figure (quirk Q37).

    Args:
        table: detections and true boxes.
        points: of :func:`~radbundles.components.evaluation.detection_points.box_points` on the validation section;
            without them temperature 1 and threshold 0.5.
        iou: overlap of a hit, for the FROC, the operating point and the calibration.
        matches: of :func:`match_table`, if they are there already.
        draws: ``resamples``, ``level`` and ``seed`` of the bootstrap over patients.

    Returns:
        What :class:`~radbundles.components.evaluation.Evaluation` describes; and ``froc``: ``iou``, ``rates``, and the
        sensitivity at each rate per class (``classes``) and over them (``mean``).

    Raises:
        ValueError: a table without images.
    """
    per_class = match_table(table, iou) if matches is None else list(matches)
    scored = _scored(table, per_class, points, iou, draws)
    froc = scored.pop("froc")
    return {
        "task": "detection",
        "samples": len(table),
        "patients": table.patients,
        **scored,
        "operating_points": None if points is None else dict(points),
        "calibration": box_calibration(table, per_class, points, iou, **draws),
        "subgroups": {
            column: {value: _subgroup(table, per_class, rows, points, iou, draws) for value, rows in parts.items()}
            for column, parts in subgroup_rows(table.groups).items()
        },
        "froc": froc,
        "notes": _notes(table, per_class, points, iou),
    }


def match_table(table: DetectionTable, iou: float = 0.5) -> list[Matches]:
    """Matches of each class at the overlaps of all scores, and at one more.

    Raises:
        ValueError: a table without images.
    """
    if not len(table):
        raise ValueError("there is no image: nothing to judge")
    extra = [] if np.isclose(COCO_IOUS, iou, rtol=0, atol=1e-9).any() else [iou]
    ious = sorted({*OFFICIAL_IOUS[:2], *COCO_IOUS, *extra})
    return [match_boxes(table.images, number, ious) for number in range(len(table.classes))]


class _Scores:
    """All scores for weights [R, N]: those of a class [R, K], the FROC [R, K, rates], those over the classes [R]."""

    def __init__(
        self, per_class: Sequence[Matches], classes: Sequence[str], points: Mapping[str, Any] | None, iou: float
    ) -> None:
        self.per_class, self.iou = per_class, iou
        self.calibrated = calibrated_matches(per_class, classes, points)
        self.thresholds = class_thresholds(classes, points)
        self.in_mean = _with_truth(per_class)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        cuts = [
            cut_scores(matches, self.iou, threshold, weights)
            for matches, threshold in zip(self.calibrated, self.thresholds, strict=True)
        ]
        froc = np.stack([froc_sensitivity(matches, self.iou, weights) for matches in self.per_class], axis=1)
        scores = coco_scores(self.per_class, weights)
        scores |= {name: np.stack([cut[name] for cut in cuts], axis=1) for name in cuts[0]}
        scores["froc"] = froc.mean(axis=2)
        means = {f"mean {name}": class_mean(scores[name][:, self.in_mean]) for name in DETECTION_SCORES}
        means["mean official_map"] = official_ecamp_map(self.per_class, weights)
        means["mean at rates"] = class_mean(froc[:, self.in_mean].transpose(0, 2, 1))
        return scores | means | {"at rates": froc}


def _scored(
    table: DetectionTable,
    per_class: Sequence[Matches],
    points: Mapping[str, Any] | None,
    iou: float,
    draws: Mapping[str, Any],
    rows: NDArray[np.intp] | None = None,
) -> dict[str, Any]:
    """``classes``, ``mean``, ``classes_in_mean`` and ``froc`` of the table or some of its rows."""
    clusters = table.clusters
    if rows is not None:
        per_class, clusters = [matches.take(rows) for matches in per_class], clusters[rows]
    scores = _Scores(per_class, table.classes, points, iou)
    found = bootstrapped(scores, clusters, **draws)
    at_rates, mean_at_rates = found.pop("at rates"), found.pop("mean at rates")
    classes = {}
    for k, name in enumerate(table.classes):
        counts = {
            "present": int((per_class[k].truths > 0).sum()),
            "absent": int((per_class[k].truths == 0).sum()),
            "boxes": int(per_class[k].truths.sum()),
            "found": int((scores.calibrated[k].scores >= scores.thresholds[k]).sum()),
            "threshold": scores.thresholds[k],
        }
        classes[name] = counts | {score: bounds(found[score], k) for score in DETECTION_SCORES}
    return {
        "classes": classes,
        "mean": {name.removeprefix("mean "): bounds(found[name]) for name in found if name.startswith("mean ")},
        "classes_in_mean": len(scores.in_mean),
        "froc": {
            "iou": iou,
            "rates": list(FROC_RATES),
            "classes": {name: np.stack(at_rates)[:, k].T for k, name in enumerate(table.classes)},
            "mean": np.stack(mean_at_rates).T,
        },
    }


def _subgroup(
    table: DetectionTable,
    per_class: Sequence[Matches],
    rows: NDArray[np.intp],
    points: Mapping[str, Any] | None,
    iou: float,
    draws: Mapping[str, Any],
) -> dict[str, Any]:
    found = _scored(table, per_class, points, iou, draws, rows)
    size = {"samples": len(rows), "patients": len(set(table.clusters[rows].tolist()))}
    return {**size, "classes_in_mean": found["classes_in_mean"], **found["mean"], "classes": found["classes"]}


def _with_truth(per_class: Sequence[Matches]) -> list[int]:
    """Numbers of the classes that have a true box."""
    return [k for k, matches in enumerate(per_class) if matches.truths.any()]


def _notes(
    table: DetectionTable, per_class: Sequence[Matches], points: Mapping[str, Any] | None, iou: float
) -> list[str]:
    notes = []
    negatives = sum(not len(image.truths) for image in table.images)
    if negatives:
        notes.append(f"{negatives} of {len(table)} images have no true box; whatever is found there is a false alarm.")
    bare = [name for k, name in enumerate(table.classes) if k not in _with_truth(per_class)]
    if bare:
        notes.append(f"Without a true box in this section, and so left out of the means: {', '.join(bare)}.")
    if points is not None:
        plain = [name for name in table.classes if points["thresholds"].get(name) is None]
        if plain:
            notes.append(
                f"On the section that the operating points come from no box of {', '.join(plain)} was hit: threshold "
                f"{DEFAULT_THRESHOLD} was taken."
            )
    notes.append(
        f"A detection hits at an overlap (IoU) of {iou:g} for the FROC, the operating point and the calibration. FROC "
        "is the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false alarms per image; clean negatives are images "
        "without the class in which nothing is found."
    )
    notes.append(
        "The official map is ECAMP's own figure: overlaps of .40 to .75, and only images that have both a true box and "
        "a detection of a score of 0.5 or more, so that many misses and false alarms do not count. Compare published "
        "figures with it, and judge by AP."
    )
    notes.append(
        "Calibration is of the detections that the detector gave, above its lowest score: how often they hit, not how "
        "many boxes it misses."
    )
    return notes
