# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Mean over the items of an epoch, the same for every split into batches and processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce

__all__ = ["EpochMean"]


class EpochMean(Metric):
    """Mean of per-item values: the sum over all items of all processes divided by their number.

    Two numbers are kept on ``device`` and added up there, so an iteration never waits for the accelerator; they are
    summed over the processes once, in :meth:`compute`. ``ignite.metrics.Average`` differs in that it gives every batch
    the same weight, and it raises when there was nothing to average.

    An epoch without an item gives ``nan``. MONAI takes the first value of a key metric as its best one and then finds
    nothing better than ``nan``, so a key metric needs an item in the first epoch.

    Args:
        output_transform: makes ``(total, count)`` out of ``engine.state.output``: the sum of the values of the batch
            and how many there are, scalars or 0-dim tensors.
        device: where the sums are kept. Name the evaluator's device to spare a copy per iteration.
    """

    _state_dict_all_req_keys = ("_sums",)

    def __init__(self, output_transform: Callable[[Any], Any], device: str | torch.device = "cpu") -> None:
        super().__init__(output_transform=output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all items."""
        self._sums = torch.zeros(2, dtype=self._double_dtype, device=self._device)

    @reinit__is_reduced
    def update(self, output: Any) -> None:
        """Add a batch, given as the result of the output transform."""
        total, count = self.measure(output)
        for place, value in enumerate((total, count)):
            self._sums[place] += torch.as_tensor(value, dtype=self._double_dtype, device=self._device)

    def measure(self, output: Any) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        """Sum and number of the values of one batch; what the subclasses define."""
        total, count = output
        return total, count

    @sync_all_reduce("_sums")
    def compute(self) -> float:
        """Mean over all items of all processes, or nan."""
        total, count = self._sums.tolist()
        return total / count if count else math.nan
