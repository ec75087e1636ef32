# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients of a bounded length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from monai.engines import IterationEvents
from monai.engines.workflow import Workflow
from torch import nn


class ClipGradients:
    """Scale the gradients down to a length, right before each step of the optimizer.

    MONAI's trainers have no clipping of their own. With mixed precision the gradients are freed of the GradScaler's
    factor first; where gradients are accumulated, their sum is clipped, once.

    Source: DCXFM, stage 2, where 0.01 bounds all parameters together.

    Args:
        parameters: measured and scaled together; those without a gradient do not count.
        max_norm: longest Euclidean length.

    Raises:
        ValueError: if the length is not positive.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], max_norm: float) -> None:
        if not max_norm > 0:
            raise ValueError(f"max_norm must be positive, got {max_norm}: leave the handler out to not clip")
        self.parameters = list(parameters)
        self.max_norm = max_norm

    def attach(self, engine: Workflow) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Clip, if the trainer's optimizer steps next."""
        if not steps_next(engine):
            return
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)


def steps_next(engine: Any) -> bool:
    """Whether this iteration ends an accumulation, as MONAI's SupervisedTrainer counts: an epoch's end does too."""
    done, length = engine.state.iteration, engine.state.epoch_length
    if length is not None:
        done = (done - 1) % length + 1
    return done % engine.accumulation_steps == 0 or done == length
