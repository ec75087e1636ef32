# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients that travel between processes once a step."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch.nn.parallel import DistributedDataParallel

from radbundles.components.engines.clip_gradients import steps_next


class SyncGradients:
    """Average gradients over processes only in iterations in which the optimizer steps.

    Where gradients are accumulated, DistributedDataParallel averages them in every iteration, MONAI's trainers and the
    official code of ECAMP let it (quirk Q25), and all but the last of these averages are for nothing. This is its
    ``no_sync``, which wraps forward and backward pass together, as a handler.

    Args:
        network: the wrapped network.
    """

    def __init__(self, network: DistributedDataParallel) -> None:
        self.network = network

    def attach(self, engine: Workflow) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Tell the network whether the iteration that starts is the last before a step."""
        self.network.require_backward_grad_sync = steps_next(engine)
