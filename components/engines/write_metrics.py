# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of an evaluation as a small JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ignite.engine import Events
from monai.engines.workflow import Workflow


class WriteMetrics:
    """Write an evaluator's metrics to a JSON file when it has run; what is not a finite number becomes null.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the file from the first process."""
        if engine.state.rank == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            metrics = {n: v if math.isfinite(v) else None for n, v in engine.state.metrics.items()}
            self.path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
