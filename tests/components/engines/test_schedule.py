# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from radbundles.components.engines import WarmupCosine


def optimizer(*rates: float) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def rates(schedule: WarmupCosine, iteration: int) -> list[float]:
    """Rates of the groups in an iteration, the first being 1, of epochs of 10 iterations."""
    engine: Any = SimpleNamespace(state=SimpleNamespace(iteration=iteration, epoch_length=10))
    schedule(engine)
    return [group["lr"] for group in schedule.optimizer.param_groups]


@pytest.mark.parametrize("min_lr", [0.0, 0.1])
def test_groups_keep_their_ratio(min_lr: float) -> None:
    schedule = WarmupCosine(optimizer(1.0, 0.01), warmup_epochs=1, total_epochs=3, min_lr=min_lr)
    assert rates(schedule, 11) == pytest.approx([1.0, 0.01])
    assert rates(schedule, 6) == pytest.approx([0.5, 0.005])
    assert rates(schedule, 21) == pytest.approx([(1 + min_lr) / 2, (1 + min_lr) / 200])
    assert rates(schedule, 500) == pytest.approx([min_lr, min_lr / 100], abs=1e-9)


def test_a_constant_rate_stays_at_the_peak_after_the_warm_up() -> None:
    schedule = WarmupCosine(optimizer(1.0, 0.01), warmup_epochs=2, total_epochs=3, shape="constant")
    assert rates(schedule, 1) == [0.0, 0.0]
    assert rates(schedule, 11) == pytest.approx([0.5, 0.005])
    for iteration in (21, 26, 31, 5000):
        assert rates(schedule, iteration) == [1.0, 0.01]
    without = WarmupCosine(optimizer(1.0, 0.01), warmup_epochs=0, total_epochs=1, shape="constant")
    assert rates(without, 1) == [1.0, 0.01]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="'linear'"):
        WarmupCosine(optimizer(1.0), warmup_epochs=0, total_epochs=1, shape="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 2 and 1"):
        WarmupCosine(optimizer(1.0), warmup_epochs=2, total_epochs=1)
