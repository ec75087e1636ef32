# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.components.distillation.brake import Brake

PROMPT = [7] * 50


def rows(*written: list[int]) -> torch.Tensor:
    return torch.tensor([PROMPT + tokens for tokens in written])


def run(length: int) -> list[int]:
    return list(range(100, 100 + length))


@pytest.mark.parametrize("period", [1, 2, 35, 64])
def test_what_only_repeats_itself_is_stopped(period: int) -> None:
    brake = Brake(len(PROMPT), lambda: False)
    circles = (run(period) * 192)[:192]

    assert brake(rows(circles, run(192)), None).tolist() == [True, False]
    assert brake.written(0, [*circles, 1, 1]) == circles
    assert brake.written(1, run(194)) == run(194)


@pytest.mark.parametrize(
    "written",
    [
        (run(65) * 3)[:192],  # longer than a finding
        run(1) + run(2) * 95 + run(1),  # not yet all of what is looked at
        run(40) + [5] * 40 + run(40) + [5] * 40 + run(32),
        [5] * 191,
        [5] * 193,  # between two looks
    ],
)
def test_what_does_not_is_left_alone(written: list[int]) -> None:
    assert brake_of(written).tolist() == [False]


def test_what_was_asked_does_not_count() -> None:
    assert brake_of([7] * 160).tolist() == [False]
    assert brake_of([7] * 224).tolist() == [True]


def brake_of(written: list[int]) -> torch.Tensor:
    return Brake(len(PROMPT), lambda: False)(rows(written), None)


def test_all_stop_on_demand() -> None:
    assert Brake(len(PROMPT), lambda: True)(rows([1], [2]), None).tolist() == [True, True]
