# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.networks import prompt_channels

DRAWS = ("spread", "first", "random")


def vectors(count: int, dim: int = 5) -> torch.Tensor:
    return F.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(count)), dim=1)


@pytest.mark.parametrize("draw", DRAWS)
def test_as_many_prompts_as_channels_stay_as_they_are(draw: Any) -> None:
    prompts = vectors(8)
    assert torch.equal(prompt_channels(prompts, (4, 4), 4, draw), prompts.view(2, 4, 5))


@pytest.mark.parametrize("draw", DRAWS)
def test_fewer_prompts_repeat_in_turn_and_one_is_copied_to_all(draw: Any) -> None:
    prompts = vectors(4)
    placed = prompt_channels(prompts, (1, 3), 4, draw)
    assert torch.equal(placed, prompts[torch.tensor([[0, 0, 0, 0], [1, 2, 3, 1]])])


def test_spread_averages_every_fourth_prompt_to_length_one() -> None:
    prompts = vectors(11)
    placed = prompt_channels(prompts, (2, 9), 4)
    assert torch.equal(placed[0], prompts[[0, 1, 0, 1]])
    own = prompts[2:]
    for channel, rows in enumerate(([0, 4, 8], [1, 5], [2, 6], [3, 7])):
        torch.testing.assert_close(placed[1, channel], F.normalize(own[rows].mean(0), dim=0))


def test_first_leaves_out_what_is_beyond_the_channels() -> None:
    prompts = vectors(9)
    assert torch.equal(prompt_channels(prompts, (6, 3), 2, "first"), prompts[torch.tensor([[0, 1], [6, 7]])])


def test_random_draws_prompts_of_the_class_without_replacement() -> None:
    prompts = vectors(12)
    seen = set()
    for seed in range(20):
        placed = prompt_channels(prompts, (6, 6), 4, "random", torch.Generator().manual_seed(seed))
        drawn = [[int((prompts == vector).all(1).nonzero()) for vector in one] for one in placed]
        assert all(len(set(rows)) == 4 for rows in drawn)
        assert set(drawn[0]) <= set(range(6)) and set(drawn[1]) <= set(range(6, 12))
        seen.add(tuple(drawn[0]))
        again = prompt_channels(prompts, (6, 6), 4, "random", torch.Generator().manual_seed(seed))
        assert torch.equal(placed, again)
    assert len(seen) > 10


def test_every_prompt_gets_a_gradient_when_spread() -> None:
    prompts = vectors(13).requires_grad_()
    torch.manual_seed(0)
    (prompt_channels(prompts, (1, 5, 7), 4) * torch.randn(3, 4, 5)).sum().backward()
    assert prompts.grad is not None and (prompts.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    ("counts", "channels", "draw", "message"),
    [
        ((4, 3), 4, "spread", r"\[4, 3\]"),
        ((8, 0), 4, "spread", r"\[8, 0\]"),
        ((), 4, "spread", "sum of counts"),
        ((8,), 0, "spread", "got 0"),
        ((8,), 4, "all", "'all'"),
    ],
)
def test_what_does_not_fit_is_refused(counts: Sequence[int], channels: int, draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prompt_channels(vectors(8), counts, channels, draw)
