# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Curves of a run, read back from its TensorBoard files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

Rows = list[dict[str, float | None]]


def read_history(folder: Path, *, per_epoch: int = 1) -> Rows:
    """Return one mapping for each logged step, with ``epoch`` and every scalar logged at it.

    Args:
        folder: of the event files.
        per_epoch: logged steps in an epoch: 1 if epochs were logged, else the number of iterations.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    steps: dict[int, dict[str, float | None]] = defaultdict(dict)
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            steps[event.step][tag] = event.value
    return [{"epoch": step / per_epoch, **values} for step, values in sorted(steps.items())]
