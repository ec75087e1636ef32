# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI handler: a table of grounding scores from an evaluator."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

from ignite.engine import Events
from monai.engines.workflow import Workflow
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.grounding_table import GroundingTable

__all__ = ["ScoreGrounding"]


class ScoreGrounding:
    """Score the maps that an evaluator puts out, and write ``grounding.json`` and ``grounding.csv``.

    The evaluator's output holds ``image["id"]`` (list of B), and in ``pred`` lists of B: ``maps`` ([P, H, W], of any
    size), ``masks`` (bool, likewise) and ``groups`` (P phrases or class names). ``image["patient"]`` is what is
    resampled, where the batch has it. Means come into the engine's metrics as ``<task>_<protocol>_<score>``, those of
    the baseline as ``<task>_centered_box_<protocol>_<score>``.

    Args:
        table: collects the scores.
        folder: where the two files are written.
        task: key of ``pred`` under which the lists lie, and the first word of the metrics' names; None takes ``pred``
            itself, and "grounding".
    """

    def __init__(self, table: GroundingTable, folder: str | Path, *, task: str | None = None) -> None:
        self.table = table
        self.folder = Path(folder)
        self.task = task

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.table.reset())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _update(self, engine: Workflow) -> None:
        batch, pred = engine.state.output[Keys.IMAGE], engine.state.output[Keys.PRED]
        pred = pred if self.task is None else pred[self.task]
        patients = batch.get("patient") or [None] * len(batch["id"])
        parts = (batch["id"], pred["groups"], pred["maps"], pred["masks"], patients)
        for id, groups, maps, masks, patient in zip(*parts, strict=True):
            self.table.update(id, groups, maps, masks, patient=patient)

    def _finish(self, engine: Workflow) -> None:
        self.table.merge()
        summary = self.table.summary()
        task = self.task or "grounding"
        for name, entry in summary["protocols"].items():
            for method, prefix in (("model", task), ("centered box", f"{task}_centered_box")):
                for score, (estimate, _, _) in entry["mean"][method].items():
                    engine.state.metrics[f"{prefix}_{name}_{score}"] = math.nan if estimate is None else estimate
        if engine.state.rank == 0:
            self.table.write_csv(self.folder / "grounding.csv")
            text = json.dumps(summary, indent=2, allow_nan=False)
            (self.folder / "grounding.json").write_text(text + "\n", encoding="utf-8")
            logging.getLogger(__name__).info(self.table.describe(summary))
