# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of an evaluation, whatever its task, read back from its folder."""

from __future__ import annotations

import os
from pathlib import Path

from radbundles.components.evaluation.classification_table import PredictionTable
from radbundles.components.evaluation.detection_table import DetectionTable
from radbundles.components.evaluation.result import read_json
from radbundles.components.evaluation.segmentation_table import SegmentationTable

__all__ = ["read_table"]


def read_table(folder: str | os.PathLike[str]) -> PredictionTable | SegmentationTable | DetectionTable:
    """Read ``predictions.csv`` or ``.jsonl`` beside an ``evaluation.json``, which tells the task.

    Args:
        folder: of :class:`~radbundles.components.evaluation.WriteEvaluation`.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: the result is of no task known here, or the table is none.
    """
    folder = Path(folder)
    result = read_json(folder / "evaluation.json", "result of an evaluation")
    task = result.get("task")
    if task == "segmentation":
        return SegmentationTable.read(folder / f"predictions{SegmentationTable.suffix}", tuple(result["classes"]))
    if task == "detection":
        return DetectionTable.read(folder / f"predictions{DetectionTable.suffix}")
    if task in ("multilabel", "multiclass"):
        return PredictionTable.read(folder / f"predictions{PredictionTable.suffix}", task)
    raise ValueError(f"{folder / 'evaluation.json'} is of task {task!r}, which has no table")
