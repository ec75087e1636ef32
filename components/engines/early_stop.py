# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Stopping early, with a count that survives a resumed run."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.handlers import EarlyStopHandler


class EarlyStop(EarlyStopHandler):
    """MONAI's EarlyStopHandler on a named metric, whose patience is saved and restored by :class:`Resume`.

    Put it among the handlers of the evaluator and tell it the trainer with ``set_trainer`` before the run.

    Args:
        metric: name of the evaluator's metric.
        patience: evaluations without improvement before the trainer is stopped; at least 1.
        greater_is_better: False for losses.
        min_delta: smallest change that counts as an improvement.

    Raises:
        ValueError: if the patience is below 1.
    """

    def __init__(self, *, metric: str, patience: int, greater_is_better: bool = True, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        sign = 1.0 if greater_is_better else -1.0

        def score(engine: Engine) -> float:
            return sign * float(engine.state.metrics[metric])

        super().__init__(patience=patience, score_function=score, min_delta=min_delta)

    def state_dict(self) -> dict[str, Any]:
        """Return the count and the best score."""
        return dict(self._handler.state_dict()) if self._handler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the count and the best score."""
        if self._handler is None:
            raise RuntimeError("call set_trainer() before the state of EarlyStop is restored")
        self._handler.load_state_dict(state)
