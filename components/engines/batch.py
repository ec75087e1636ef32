# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How a dictionary batch travels through MONAI's SupervisedTrainer and SupervisedEvaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def move_batch(
    batch: Mapping[str, Any], device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
) -> tuple[dict[str, Any], None]:
    """Move every tensor of a batch to the device; the ``prepare_batch`` of an engine whose network takes the batch.

    Args:
        batch: named tensors (any shapes) and other values, which pass unchanged.
        device: where the tensors go; None leaves them.
        non_blocking: whether copies from pinned memory may overlap with computation.

    Returns:
        The moved batch as the network's input, and None for the target, which lies in the batch.
    """
    moved = {
        key: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
    return moved, None


def loss_of(pred: Mapping[str, Tensor], _: object = None) -> Tensor:
    """Pick the scalar to minimize out of an objective's named losses; the ``loss_function`` of an engine."""
    return pred["loss"]


def losses_of(output: Mapping[str, Any] | list[Mapping[str, Any]]) -> dict[str, float]:
    """Read the named scalar losses of an engine's output, for TensorBoard, progress bars and averages."""
    pred = (output[0] if isinstance(output, list) else output)["pred"]
    return {name: value.item() for name, value in pred.items() if isinstance(value, Tensor) and value.ndim == 0}
