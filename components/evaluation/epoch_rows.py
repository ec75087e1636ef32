# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of one pass of an engine, taken together over all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.evaluation.protocol import Evaluator
from radbundles.components.metrics.gather import gather_rows

__all__ = ["EpochRows"]


class EpochRows:
    """Collect the rows that an evaluator makes of each batch, and hand those of all processes to the first one.

    An id that comes twice, as it does where a sampler deals out equal numbers, counts once.

    Args:
        evaluator: of the task.
        finish: called on the first process with engine and rows, in the order of their ids.
    """

    def __init__(self, evaluator: Evaluator, finish: Callable[[Workflow, dict[str, Any]], object]) -> None:
        self.evaluator = evaluator
        self.finish = finish
        self._rows: dict[str, Any] = {}

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _update(self, engine: Workflow) -> None:
        self._rows |= self.evaluator.collect(engine.state.output)

    def _finish(self, engine: Workflow) -> None:
        rows, self._rows = gather_rows(self._rows), {}
        if engine.state.rank == 0:
            self.finish(engine, rows)
