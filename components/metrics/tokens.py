# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of masked language modeling, over all masked tokens or over those of entities alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from ignite.metrics.metric import sync_all_reduce
from monai.utils import CommonKeys as Keys
from monai.utils import convert_to_tensor

from radbundles.components.metrics.mean import EpochMean

__all__ = ["MaskedTokenAccuracy", "MaskedTokenCount", "masked_tokens"]

Subset = Literal["all", "entity"]


def masked_tokens(output: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predicted ids, true ids and entity flags at the N masked positions of a batch, in row-major order.

    Args:
        output: what the evaluator put out: ``output["image"]`` is the batch with ``labels``, ``masked`` and ``entity``
            of shape [B, L], ``output["pred"]["logits"]`` has shape [N, V], or [B, L, V] with logits everywhere.

    Returns:
        Three tensors of shape [N]: int64, int64, bool.

    Raises:
        ValueError: the logits fit neither shape.
    """
    keys = ("labels", "masked", "entity")
    labels, masked, entity = (convert_to_tensor(output[Keys.IMAGE][key], track_meta=False) for key in keys)
    masked = masked.bool()
    labels, entity = labels[masked], entity[masked].bool()  # [B, L] -> [N]
    logits = output[Keys.PRED]["logits"]
    if logits.shape[:-1] not in (masked.shape, labels.shape):
        raise ValueError(
            f"logits have shape {tuple(logits.shape)}, but {len(labels)} tokens are masked in a batch of shape"
            f" {tuple(masked.shape)}: expected ({len(labels)}, V) or {(*masked.shape, 'V')}"
        )
    predicted = logits.argmax(-1)  # before the selection: the ids are V times smaller than the logits
    return (predicted[masked] if predicted.ndim == 2 else predicted), labels, entity


class MaskedTokenAccuracy(EpochMean):
    """Share of masked tokens whose most probable prediction is the true token (top-1), over all tokens of the epoch.

    Tokens count alike, whatever report they stand in. ``nan`` if the epoch has no such token.

    Args:
        subset: ``"all"`` masked tokens, or only those that belong to an ``"entity"``.
        output_transform: gives predicted ids, true ids and entity flags, each [N].
        device: where the sums are kept.

    Raises:
        ValueError: unknown ``subset``.
    """

    def __init__(
        self,
        subset: Subset = "all",
        output_transform: Callable[[Any], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = masked_tokens,
        device: str | torch.device = "cpu",
    ) -> None:
        if subset not in ("all", "entity"):
            raise ValueError(f"subset must be 'all' or 'entity', got {subset!r}")
        self.subset = subset
        super().__init__(output_transform, device)

    def measure(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Number of right tokens and number of tokens of a batch."""
        predicted, labels, entity = output
        counted = entity if self.subset == "entity" else torch.ones_like(entity)
        return ((predicted == labels) & counted).sum(), counted.sum()


class MaskedTokenCount(MaskedTokenAccuracy):
    """Number of tokens that the accuracy of the same subset rests on, over all batches and processes."""

    @sync_all_reduce("_sums")
    def compute(self) -> int:
        """Number of tokens of the epoch."""
        return int(self._sums[1].item())
