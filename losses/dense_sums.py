# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The sums over pixels that Dice and focal loss are made of, in one pass over the logits and one back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

# Pixels at a time: few enough to stay in the cache of a core, enough to keep a GPU busy.
_OF_A_CORE = 1 << 18
_OF_A_GPU = 1 << 24


class DenseSums(NamedTuple):
    """Sums over the pixels of each map, each [B, T], and 0 for what is unknown.

    Attributes:
        overlap: of probability times target.
        predicted: of probabilities.
        inside: of the target, without gradient.
        focal: of (1 - e^-ce)^gamma ce, with the binary cross-entropy ce of each pixel.
    """

    overlap: torch.Tensor
    predicted: torch.Tensor
    inside: torch.Tensor
    focal: torch.Tensor


def dense_sums(logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor, gamma: float = 2.0) -> DenseSums:
    """Sum what Dice and focal loss need, without a copy of the logits and without keeping anything for the gradient.

    Probabilities and cross-entropy are computed a few maps at a time, while these are in the cache, and once more for
    the gradient; maps of unknown classes are not read. Computed in float32 at least, also under autocast.

    Args:
        logits: [B, T, H, W].
        masks: nonzero inside, [B, T, H, W] of any dtype; read where the label is 1.
        labels: 1 for the mask as target, 0 for nothing as target, -1 for unknown, [B, T].
        gamma: exponent of the focal loss.

    Returns:
        The sums of every map; they can be differentiated once.
    """
    with torch.autocast(logits.device.type, enabled=False):
        return DenseSums(*_DenseSums.apply(logits, masks, labels, gamma))


class _DenseSums(torch.autograd.Function):
    # p is the probability, t the target, q = |p - t| that of the wrong answer, c the cross-entropy. Steps are chosen
    # for what they cost on a CPU: softplus, comparisons and selections take ten times what a product does.

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor, gamma: float
    ) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(logits, masks, labels)
        ctx.gamma = gamma
        dtype = torch.promote_types(logits.dtype, torch.float32)
        sums = torch.zeros(4, labels.numel(), dtype=dtype, device=logits.device)
        for rows, x, t in _maps(logits, masks, labels):
            p = torch.sigmoid(x)
            sums[1, rows] = p.sum(1)
            if t is not None:
                sums[0, rows] = torch.linalg.vecdot(p, t)
                sums[2, rows] = t.sum(1)
            c = _cross_entropy(x, t)
            q = p if t is None else p.sub_(t).abs_()
            sums[3, rows] = torch.linalg.vecdot(q.pow_(gamma), c)
        overlap, predicted, inside, focal = sums.unflatten(1, labels.shape).unbind()
        ctx.mark_non_differentiable(inside)
        return overlap, predicted, inside, focal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits, masks, labels = ctx.saved_tensors
        of_overlap, of_predicted, _, of_focal = (gradient.flatten()[:, None] for gradient in gradients)
        result = torch.zeros_like(logits, memory_format=torch.contiguous_format)
        maps = result.flatten(0, 1).flatten(1)
        for rows, x, t in _maps(logits, masks, labels):
            p = torch.sigmoid(x)
            q = p if t is None else p.sub_(t).abs_()
            right = 1 - q
            # d focal / dx = (1 - 2 t) q^gamma (gamma (1 - q) c + q)
            focal = _cross_entropy(x, t).mul_(right).mul_(ctx.gamma).add_(q).mul_(q.pow(ctx.gamma))
            if t is not None:
                focal.addcmul_(focal, t, value=-2)
            # d p / dx = p (1 - p) = q (1 - q), for sum(p t) where t is 1 and for sum(p) everywhere
            slope = right.mul_(q)
            wanted = of_predicted[rows] if t is None else t.mul_(of_overlap[rows]).add_(of_predicted[rows])
            maps.index_copy_(0, rows, focal.mul_(of_focal[rows]).add_(slope.mul_(wanted)).to(maps.dtype))
        return result, None, None, None


def _maps(
    logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """Go through the maps of known classes: which they are [n], logits [n, H*W], and target [n, H*W] or None for 0."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    pixels = max(1, logits.shape[2:].numel())
    at_a_time = _OF_A_CORE * torch.get_num_threads() if logits.device.type == "cpu" else _OF_A_GPU
    values, targets = logits.flatten(0, 1).flatten(1), masks.flatten(0, 1).flatten(1)
    for label in (0, 1):
        known = (labels.flatten() == label).nonzero().flatten()
        for rows in known.split(max(1, at_a_time // pixels)) if len(known) else ():
            target = None
            if label == 1:  # by way of bytes, which become floats much faster than bools do
                target = targets.index_select(0, rows).to(torch.bool).view(torch.uint8).to(dtype)
            yield rows, values.index_select(0, rows).to(dtype), target


def _cross_entropy(x: torch.Tensor, t: torch.Tensor | None) -> torch.Tensor:
    """max(x, 0) - x t + log(1 + exp(-|x|)), finite for every finite x."""
    c = x.abs().neg_().exp_().add_(1).log_().add_(x.relu())
    return c if t is None else c.addcmul_(x, t, value=-1)
