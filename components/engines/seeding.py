# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Randomness as a function of (seed, position) instead of history."""

from __future__ import annotations

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.data.seeded import derive_seed


class SeedIterations:
    """Seed torch before every iteration from (seed, stream, rank, iteration).

    Masking noise and dropout then depend on where the training is, not on how it got there: a run that was killed
    and resumed draws what the undisturbed run drew, and every validation sees the same masks.

    Args:
        seed: of the run.
        stream: tells engines apart, for example 0 for training and 1 for validation.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self.seed = seed
        self.stream = stream

    def attach(self, engine: Workflow) -> None:
        """Attach to a trainer or an evaluator."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Seed for the iteration that starts."""
        torch.manual_seed(derive_seed(self.seed, self.stream, engine.state.rank, engine.state.iteration))
