# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Epoch average of the named losses of an objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.mean import EpochMean

__all__ = ["LossAverage"]


class LossAverage(EpochMean):
    """Mean over the samples of one loss that an objective returns, e.g. ``mim``, ``sr``, ``mlm`` or ``loss`` of ECAMP.

    A batch counts by its number of samples, so a short last batch does not weigh too much.

    Args:
        name: key of the loss in the objective's result.
        device: where the sums are kept.
    """

    def __init__(self, name: str = "loss", device: str | torch.device = "cpu") -> None:
        def output_transform(output: Mapping[str, Any]) -> tuple[torch.Tensor, int]:
            losses, batch = output[Keys.PRED], output[Keys.IMAGE]
            samples = next(len(value) for value in batch.values() if isinstance(value, torch.Tensor))
            if name not in losses:
                raise KeyError(f"the objective returns no loss {name!r}; it returns {sorted(losses)}")
            return losses[name].detach() * samples, samples

        super().__init__(output_transform, device)
