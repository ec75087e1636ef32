# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Any number of prompts a class, brought to the fixed number that cost aggregation compares cells with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F

PromptDraw = Literal["spread", "first", "random"]


def prompt_channels(
    vectors: torch.Tensor,
    counts: Sequence[int],
    channels: int = 4,
    draw: PromptDraw = "spread",
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Lay the prompts of each class onto the prompt channels of :class:`~radbundles.networks.CostAggregator`.

    Source: DCXFM, stage 2, which draws four of the four to six prompts of a class at random in every step and for
    every test image (quirk Q15), and copies a single phrase to all channels.

    Deviation: by default nothing is drawn and no prompt is left out, so that the same image gets the same answer.

    Args:
        vectors: prompts of length 1 of all classes, one class after the other, [N, D].
        counts: prompts of each of the T classes; their sum is N.
        channels: number C of channels.
        draw: what a class of more than C prompts does: "spread", channel c is the mean of the prompts c, c + C, ...,
            scaled to length 1; "first", the first C; "random", C without replacement (official). A class of C prompts
            has them in their order, one of fewer repeats them in turn, whatever the draw.
        generator: of the random draw, on the CPU; by default PyTorch's own.

    Returns:
        [T, C, D], with the gradient of ``vectors``.

    Raises:
        ValueError: if counts and vectors do not fit, a class has no prompt, or an argument is out of range.
    """
    if channels < 1:
        raise ValueError(f"channels must be 1 or more, got {channels}")
    if draw not in ("spread", "first", "random"):
        raise ValueError(f"draw must be 'spread', 'first' or 'random', got {draw!r}")
    if vectors.ndim != 2 or not len(counts) or min(counts) < 1 or sum(counts) != len(vectors):
        raise ValueError(
            f"vectors {tuple(vectors.shape)} must be [N, D] with N the sum of counts, each 1 or more: {list(counts)}"
        )
    members: list[list[int]] = []  # prompts of each channel, class by class
    first = 0
    for count in counts:
        order = list(range(first, first + count))
        if draw == "random" and count > channels:
            order = [first + place for place in torch.randperm(count, generator=generator)[:channels].tolist()]
        depth = len(order) if draw == "spread" else channels
        members += [order[c:depth:channels] or [order[c % count]] for c in range(channels)]
        first += count
    most = max(map(len, members))
    index = torch.tensor([rows + rows[:1] * (most - len(rows)) for rows in members], device=vectors.device)
    shares = torch.tensor([[1 / len(rows)] * len(rows) + [0.0] * (most - len(rows)) for rows in members])
    mean = (vectors[index] * shares.to(vectors)[..., None]).sum(1)  # [T*C, D]
    if most > 1:  # a prompt alone stays as it is, to the last bit
        several = torch.tensor([len(rows) > 1 for rows in members], device=vectors.device)
        mean = torch.where(several[:, None], F.normalize(mean, dim=1), mean)
    return mean.unflatten(0, (len(counts), channels))
