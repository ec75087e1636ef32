# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import nn

from radbundles.components.engines import EMATeacher, move_batch


class Pair(nn.Module):
    """A student with batch normalization, and its teacher."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.teacher(batch["x"])
        return {"loss": (self.student(batch["x"]) - 1).square().mean()}


def vector(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def trainer(pair: Pair, optimizer: torch.optim.Optimizer, handlers: list[Any], **options: Any) -> SupervisedTrainer:
    generator = torch.Generator().manual_seed(1)
    batches = [{"x": torch.randn(8, 3, generator=generator)} for _ in range(6)]
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=batches,
        network=pair,
        optimizer=optimizer,
        loss_function=lambda pred, _: pred["loss"],
        prepare_batch=move_batch,
        train_handlers=handlers,
        decollate=False,
        **options,
    )


class Record:
    """What student and teacher are after each step: hooks run in the order in which they were registered."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.rows: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, *_: Any) -> None:
        self.rows.append((vector(self.pair.student), vector(self.pair.teacher)))


def train(
    optimizer_of: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Pair, EMATeacher, torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    pair = Pair()
    start = vector(pair.teacher)
    optimizer = optimizer_of(pair.student.parameters(), lr=0.1)
    ema = EMATeacher(pair.student, pair.teacher, optimizer, **(settings or {}))
    run = trainer(pair, optimizer, [ema], **options)
    record = Record(pair)
    optimizer.register_step_post_hook(record)
    run.run()
    return pair, ema, start, record.rows


@pytest.mark.parametrize("optimizer_of", [torch.optim.SGD, torch.optim.AdamW])
def test_teacher_moves_by_the_formula(optimizer_of: Callable[..., torch.optim.Optimizer]) -> None:
    _, ema, expected, rows = train(optimizer_of)
    for student, teacher in rows:
        expected = 0.994 * expected + 0.006 * student
        torch.testing.assert_close(teacher, expected)
    assert len(rows) == ema.steps == 6 and not torch.equal(rows[0][0], rows[-1][0])


def test_cosine_raises_the_momentum_to_one() -> None:
    settings = {"momentum": 0.9, "schedule": "cosine", "total_iterations": 4}
    _, ema, expected, rows = train(settings=settings)
    assert [round(ema.momentum_at(step), 6) for step in range(7)] == [0.9, 0.914645, 0.95, 0.985355, 1, 1, 1]
    for step, (student, teacher) in enumerate(rows):
        expected = ema.momentum_at(step) * expected + (1 - ema.momentum_at(step)) * student
        torch.testing.assert_close(teacher, expected)
    assert torch.equal(rows[3][1], rows[5][1])


def test_momentum_of_one_is_the_frozen_teacher_of_the_official_code() -> None:
    _, _, start, rows = train(settings={"momentum": 1.0})
    assert all(torch.equal(teacher, start) for _, teacher in rows)
    assert not torch.equal(rows[-1][0], start)


def test_accumulated_gradients_count_as_one_step() -> None:
    _, ema, start, rows = train(accumulation_steps=3)
    assert ema.steps == len(rows) == 2
    torch.testing.assert_close(rows[0][1], 0.994 * start + 0.006 * rows[0][0])


def test_statistics_of_the_teacher_are_its_own() -> None:
    pair, _, _, _ = train(settings={"momentum": 0.5})
    assert not torch.equal(pair.get_buffer("teacher.1.running_mean"), pair.get_buffer("student.1.running_mean"))
    assert pair.get_buffer("teacher.1.num_batches_tracked") == 6


@pytest.mark.parametrize("fused", [False, True])
def test_step_that_a_grad_scaler_skips_leaves_the_teacher(fused: bool) -> None:
    pair = Pair()
    optimizer = torch.optim.AdamW(pair.student.parameters(), lr=0.1, fused=fused)
    ema = EMATeacher(pair.student, pair.teacher, optimizer, momentum=0.5)
    trainer(pair, optimizer, [ema])
    scaler = torch.amp.GradScaler("cpu")
    start = vector(pair.teacher)
    for value, steps in ((float("inf"), 0), (1.0, 1)):
        loss = pair({"x": torch.randn(8, 3)})["loss"]
        scaler.scale(loss * value).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert ema.steps == steps
        assert torch.equal(vector(pair.teacher), start) == (steps == 0)


def test_resumed_run_goes_on_with_the_same_momentum() -> None:
    settings: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine", "total_iterations": 20}
    pair, whole, _, _ = train(settings=settings)
    torch.manual_seed(0)
    twin = copy.deepcopy(pair)
    optimizer = torch.optim.SGD(twin.student.parameters(), lr=0.1)
    resumed = EMATeacher(twin.student, twin.teacher, optimizer, **settings)
    resumed.load_state_dict(whole.state_dict())
    start = vector(twin.teacher)
    trainer(twin, optimizer, [resumed])
    optimizer.step()
    momentum = whole.momentum_at(6)
    assert momentum > 0.91
    torch.testing.assert_close(vector(twin.teacher), momentum * start + (1 - momentum) * vector(twin.student))
    assert resumed.state_dict() == {"steps": 7}


def test_attached_twice_it_updates_once() -> None:
    pair = Pair()
    optimizer = torch.optim.SGD(pair.student.parameters(), lr=0.1)
    ema = EMATeacher(pair.student, pair.teacher, optimizer)
    trainer(pair, optimizer, [ema, ema])
    optimizer.step()
    assert ema.steps == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"momentum": 1.5}, "got 1.5"),
        ({"schedule": "linear"}, "'linear'"),
        ({"schedule": "cosine"}, "needs total_iterations of at least 1, got None"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    pair = Pair()
    optimizer = torch.optim.SGD(pair.student.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=message):
        EMATeacher(pair.student, pair.teacher, optimizer, **settings)


def test_modules_that_differ_are_refused() -> None:
    pair = Pair()
    optimizer = torch.optim.SGD(pair.student.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="4 parameters of one alone"):
        EMATeacher(pair.student, pair.student[:1], optimizer)
    with pytest.raises(ValueError, match=r"'0.weight' is \(4, 3\) in the student, not \(5, 3\)"):
        EMATeacher(pair.student[:1], nn.Sequential(nn.Linear(3, 5)), optimizer)


def test_teacher_that_the_optimizer_trains_is_refused() -> None:
    pair = Pair()
    optimizer = torch.optim.SGD(pair.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="the optimizer trains the teacher"):
        EMATeacher(pair.student, pair.teacher, optimizer)
