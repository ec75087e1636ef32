# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A progress bar that names its losses."""

from __future__ import annotations

from ignite.handlers import ProgressBar
from monai.engines.workflow import Workflow

from radbundles.components.engines.batch import losses_of


class Progress:
    """Ignite's ProgressBar as a MONAI handler, with the named losses of the current batch beside it.

    Args:
        description: text before the bar.
        every: iterations between two readings of the losses, each of which waits for the device.
    """

    def __init__(self, description: str, every: int = 10) -> None:
        self.description = description
        self.every = every

    def attach(self, engine: Workflow) -> None:
        """Attach to a trainer or an evaluator; only the first process shows the bar."""
        if engine.state.rank != 0:
            return
        last: dict[str, float] = {}

        def read(output: dict) -> dict[str, float]:
            if (engine.state.iteration - 1) % self.every == 0:
                last.update(losses_of(output))
            return last

        ProgressBar(desc=self.description, persist=False).attach(engine, output_transform=read)
