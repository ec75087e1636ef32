# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A teacher that follows its student."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from monai.engines.workflow import Workflow
from torch import nn
from torch.optim import Optimizer


class EMATeacher:
    """Move a teacher's parameters towards its student's after every step of the optimizer.

    Source: DCXFM, ``teacher <- 0.994 teacher + 0.006 student`` for the parameters of encoder, projection and head.
    Buffers are left alone: the teacher's batch normalization has statistics of its own batches (quirk Q38).

    Deviation: in the official code the update is written but never called, so that the teacher stays as it began
    (quirk Q1); ``momentum=1`` does that.

    Ignite's EMAHandler does not serve here. It copies the student itself, where this teacher is part of an
    objective's forward pass; it averages after every iteration, also of those that only accumulate gradients or whose
    step a GradScaler skipped; it keeps no count for a schedule in a checkpoint; it has no cosine.

    Put ``{"ema": <this>}`` among the objects of :class:`Resume` if the momentum follows a cosine; the teacher's
    parameters belong to the objective's state dict.

    Args:
        student: parameters to follow.
        teacher: parameters to move; names and shapes as in the student, none trained by the optimizer.
        optimizer: whose steps are counted.
        momentum: share of the teacher that stays at each step, at the beginning.
        schedule: "constant", or "cosine" for a rise to 1 by half a cosine, as in DINO.
        total_iterations: steps of the optimizer until the cosine reaches 1.

    Raises:
        ValueError: if the momentum is not within [0, 1], a cosine has no length, or the two modules differ.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        optimizer: Optimizer,
        *,
        momentum: float = 0.994,
        schedule: Literal["constant", "cosine"] = "constant",
        total_iterations: int | None = None,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be within 0 and 1, got {momentum}")
        if schedule not in ("constant", "cosine"):
            raise ValueError(f'schedule must be "constant" or "cosine", got {schedule!r}')
        if schedule == "cosine" and (total_iterations is None or total_iterations < 1):
            raise ValueError(f"a cosine needs total_iterations of at least 1, got {total_iterations}")
        self.sources, self.targets = _pairs(student, teacher)
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if any(id(target) in trained for target in self.targets):
            raise ValueError("the optimizer trains the teacher: give it the parameters that require gradients only")
        self.optimizer = optimizer
        self.momentum = momentum
        self.total_iterations = total_iterations if schedule == "cosine" else None
        self.steps = 0
        self._attached = False

    def attach(self, engine: Workflow) -> None:
        """Attach to a trainer; the update itself hangs on the optimizer, since not every iteration has a step."""
        if not self._attached:
            self.optimizer.register_step_post_hook(self)
            self._attached = True

    def momentum_at(self, step: int) -> float:
        """Momentum of a step, the first being 0."""
        if self.total_iterations is None:
            return self.momentum
        progress = min(1.0, step / self.total_iterations)
        return 1.0 - (1.0 - self.momentum) * 0.5 * (1.0 + math.cos(math.pi * progress))

    @torch.no_grad()
    def __call__(self, optimizer: Optimizer, *_: Any) -> None:
        """Update the teacher after a step."""
        # A fused optimizer decides on the device whether a GradScaler's step counts, and runs its hooks in any case.
        skipped = getattr(optimizer, "found_inf", None)
        if skipped is not None and skipped.item():
            return
        share = 1.0 - self.momentum_at(self.steps)
        self.steps += 1
        if share > 0:
            torch._foreach_lerp_(self.targets, self.sources, share)

    def state_dict(self) -> dict[str, int]:
        """Return the number of steps, on which the momentum depends."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the number of steps."""
        self.steps = int(state["steps"])


def _pairs(student: nn.Module, teacher: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Parameters of both in one order."""
    ours, theirs = dict(student.named_parameters()), dict(teacher.named_parameters())
    if unpaired := sorted(ours.keys() ^ theirs.keys()):
        raise ValueError(f"student and teacher differ: {len(unpaired)} parameters of one alone, first {unpaired[:3]}")
    for name, parameter in ours.items():
        if parameter.shape != theirs[name].shape:
            raise ValueError(f"{name!r} is {tuple(parameter.shape)} in the student, not {tuple(theirs[name].shape)}")
    return list(ours.values()), [theirs[name] for name in ours]
