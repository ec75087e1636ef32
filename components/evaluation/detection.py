# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judge boxes in the pixels of the stored images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.utils import CommonKeys as Keys

from radbundles.components.evaluation.detection_curves import detection_curves
from radbundles.components.evaluation.detection_points import box_points
from radbundles.components.evaluation.detection_result import evaluate_detection, match_table
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.page import interval_text
from radbundles.components.evaluation.protocol import Evaluation, Facts
from radbundles.components.evaluation.result import as_json
from radbundles.components.metrics.detection_matches import ImageBoxes
from radbundles.components.metrics.detection_rows import detected_boxes
from radbundles.components.reports.blocks import Table

__all__ = ["DetectionEvaluator"]

Rows = Mapping[str, ImageBoxes]


class DetectionEvaluator:
    """Judge a detector; plugs into the handlers of this package, see their :class:`Evaluator` protocol.

    Its engine's output holds a batch of :func:`~radbundles.components.data.collate_boxes` under ``image``, and under
    ``pred`` what :class:`~radbundles.losses.DetectionObjective` returns in eval mode: lists of B ``boxes``, ``scores``
    and ``box_classes``. Boxes found are brought back to the stored image and compared with the boxes of the datalist.

    Deviations from ECAMP's official code, which judges in the square of 224 pixels and leaves out images without a true
    box or without a detection (quirk Q37): all images count; its figure stands beside the others as ``official_map``.

    Args:
        classes: names of the K classes.
        iou: overlap from which on a detection hits, for all but the COCO figures, which take theirs.
        resamples: number of resamples of the patients.
        level: confidence level.
        seed: of the draws.

    Raises:
        ValueError: classes are not a list of different names, or an overlap not above 0 and up to 1.
    """

    task = "detection"

    def __init__(
        self,
        classes: Sequence[str],
        *,
        iou: float = 0.5,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes must be a list of different names, got {classes!r}")
        if not 0 < iou <= 1:
            raise ValueError(f"iou must be above 0 and up to 1, got {iou}")
        self.classes = tuple(classes)
        self.iou = iou
        self.draws: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}

    def collect(self, output: Mapping[str, Any]) -> dict[str, ImageBoxes]:
        """Boxes of each image of a batch."""
        return detected_boxes(output[Keys.IMAGE], output[Keys.PRED], len(self.classes))

    def fit_points(self, rows: Rows) -> dict[str, Any]:
        """Temperature and threshold of each class, from rows of the validation section."""
        table = DetectionTable.of(rows, self.classes)
        return box_points(match_table(table, self.iou), self.classes, self.iou)

    def finish(self, rows: Rows, points: Mapping[str, Any] | None, facts: Mapping[str, Facts]) -> Evaluation:
        """Judge all rows."""
        return self.judge(DetectionTable.of(rows, self.classes, facts), points)

    def judge(self, table: DetectionTable, points: Mapping[str, Any] | None) -> Evaluation:
        """What :meth:`finish` does, from a table, e.g. one that was read from its file.

        Raises:
            ValueError: the table is of other classes, or the operating points of another overlap.
        """
        if table.classes != self.classes:
            raise ValueError(f"the table is of the classes {list(table.classes)}, not of {list(self.classes)}")
        if points is not None and points.get("iou", self.iou) != self.iou:
            raise ValueError(f"the operating points are of an overlap of {points['iou']}, not of {self.iou}")
        matches = match_table(table, self.iou)
        result = evaluate_detection(table, points, iou=self.iou, matches=matches, **self.draws)
        blocks = [*detection_curves(matches, self.classes, self.iou, result["froc"]), _official(result)]
        return Evaluation(result, blocks, table)


def _official(result: Mapping[str, Any]) -> Table:
    entry = as_json(result["mean"]["official_map"])
    return Table(
        title="ECAMP's own figure",
        columns=["score", "mean over the classes"],
        rows=[["official mAP", interval_text(entry)]],
        text="For comparison with published figures. Only images that have both a true box and a detection count.",
    )
