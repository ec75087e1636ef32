# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI handler: operating points from a pass over the validation section."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from monai.engines.workflow import Workflow

from radbundles.components.evaluation.epoch_rows import EpochRows
from radbundles.components.evaluation.protocol import Evaluator
from radbundles.components.evaluation.result import write_json

__all__ = ["FitOperatingPoints"]


class FitOperatingPoints:
    """Choose temperatures and thresholds at the end of training, on the validation section, and write them to a file.

    Attach it to an evaluator that reads the validation section with the weights that are kept. The file has ``task``,
    ``classes``, ``section``, ``rule``, ``thresholds``, ``temperature`` and ``samples``;
    :class:`~radbundles.components.evaluation.WriteEvaluation` takes it, and a packed bundle carries it in its metadata.
    In a config::

        {"_target_": "radbundles.components.evaluation.FitOperatingPoints",
         "evaluator": "@judge", "path": "$os.path.join(@output_dir, 'operating_points.json')"}

    Args:
        evaluator: of the task, for example :class:`~radbundles.components.evaluation.ClassificationEvaluator`.
        path: the JSON file.
        section: of the datalist, as the engine's loader reads it.

    Raises:
        ValueError: the section is ``test``: points chosen on it would flatter every figure taken at them.
    """

    def __init__(self, evaluator: Evaluator, path: str | Path, *, section: str = "validation") -> None:
        if section == "test":
            raise ValueError("operating points are chosen on validation, never on the section 'test' that they judge")
        self.evaluator = evaluator
        self.path = Path(path)
        self.section = section
        self._rows = EpochRows(evaluator, self._finish)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        self._rows.attach(engine)

    def _finish(self, engine: Workflow, rows: dict[str, Any]) -> None:
        points = {
            "task": self.evaluator.task,
            "classes": list(self.evaluator.classes),
            "section": self.section,
            **self.evaluator.fit_points(rows),
        }
        write_json(self.path, points)
        lacking = [name for name, cut in points["thresholds"].items() if cut is None]
        if lacking and self.evaluator.task != "multiclass":
            logging.getLogger(__name__).warning(
                "no threshold for classes that the %s section does not have with both outcomes: %s",
                self.section,
                ", ".join(lacking),
            )
