# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Learning rate as a function of the iteration."""

from __future__ import annotations

import math
from typing import Literal

from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch.optim import Optimizer


class WarmupCosine:
    """Linear warm-up, then half a cosine down to ``min_lr`` (ECAMP, section 5; official ``lr_sched.py``), or level.

    The rate is computed from the trainer's iteration alone. There is no state to save, a resumed run cannot drift,
    and gradient accumulation needs no special case. A run may stop before the cosine ends, as the official one does
    (120 of 200 epochs).

    Args:
        optimizer: each group's initial rate is the peak it reaches after the warm-up; the ratio of the groups' rates
            stays what it is at the peak.
        warmup_epochs: length of the warm-up; may be fractional.
        total_epochs: where the cosine reaches ``min_lr``; more than ``warmup_epochs``.
        min_lr: rate at the end of the cosine and after, of the group with the highest peak.
        shape: "cosine", or "constant" to stay at the peak after the warm-up (DCXFM, stage 2).

    Raises:
        ValueError: if the epochs are not in order, or shape is neither.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_epochs: float,
        total_epochs: float,
        min_lr: float = 0.0,
        shape: Literal["cosine", "constant"] = "cosine",
    ) -> None:
        if shape not in ("cosine", "constant"):
            raise ValueError(f'shape must be "cosine" or "constant", got {shape!r}')
        if not 0 <= warmup_epochs < total_epochs:
            raise ValueError(f"need 0 <= warmup_epochs < total_epochs, got {warmup_epochs} and {total_epochs}")
        self.optimizer = optimizer
        self.warmup_epochs = warmup_epochs
        self.total_epochs = total_epochs
        self.min_lr = min_lr
        self.shape = shape
        self.peaks = [group["lr"] for group in optimizer.param_groups]

    def rate(self, peak: float, epochs: float) -> float:
        """Return the rate after a (fractional) number of epochs."""
        if epochs < self.warmup_epochs:
            return peak * epochs / self.warmup_epochs
        if self.shape == "constant":
            return peak
        lowest = self.min_lr * peak / max(self.peaks) if self.min_lr else 0.0
        progress = min(1.0, (epochs - self.warmup_epochs) / (self.total_epochs - self.warmup_epochs))
        return lowest + (peak - lowest) * 0.5 * (1.0 + math.cos(math.pi * progress))

    def attach(self, engine: Workflow) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Set the rates for the iteration that starts."""
        epochs = (engine.state.iteration - 1) / engine.state.epoch_length
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = self.rate(peak, epochs)
