# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from radbundles.components.engines import ClipGradients, loss_of, move_batch

BATCHES = [{"x": torch.tensor([[3.0, -4.0]]) * scale} for scale in (1.0, 0.001, 2.0, 5.0, 0.002)]


class Objective(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": (batch["x"] @ self.weight).mean()}


def run(accumulation: int = 1, scaler: torch.amp.GradScaler | None = None, epochs: int = 1) -> tuple[list[Tensor], Any]:
    """The gradient of each step of the optimizer, and the trainer."""
    objective = Objective()
    optimizer = torch.optim.SGD(objective.parameters(), lr=1.0)
    seen: list[Tensor] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(objective.weight.grad.clone()))  # type: ignore[union-attr]
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=BATCHES,
        network=objective,
        optimizer=optimizer,
        loss_function=loss_of,
        prepare_batch=move_batch,
        accumulation_steps=accumulation,
        decollate=False,
        train_handlers=[ClipGradients(objective.parameters(), 0.5)],
    )
    if scaler is not None:

        def replace(engine: Any) -> None:
            engine.amp, engine.scaler = True, scaler

        trainer.add_event_handler("STARTED", replace)  # the trainer makes one of its own when it runs
    trainer.run()
    return seen, trainer


def clipped(gradient: Tensor) -> Tensor:
    return gradient * min(1.0, 0.5 / (gradient.norm().item() + 1e-6))


def assert_gradients(seen: list[Tensor], expected: list[Tensor]) -> None:
    assert len(seen) == len(expected)
    for ours, gradient in zip(seen, expected, strict=True):
        torch.testing.assert_close(ours, clipped(gradient), rtol=1e-5, atol=1e-7)


def test_long_gradients_are_scaled_to_the_length_and_short_ones_stay() -> None:
    seen, _ = run()
    assert_gradients(seen, [batch["x"][0] for batch in BATCHES])
    assert [round(gradient.norm().item(), 4) for gradient in seen] == [0.5, 0.005, 0.5, 0.5, 0.01]


@pytest.mark.parametrize("accumulation", [2, 3, 5, 7])
def test_the_sum_is_clipped_once_right_before_each_step(accumulation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *a: calls.append(clip(*a).item()))
    seen, _ = run(accumulation, epochs=2)
    starts = range(0, len(BATCHES), accumulation)
    sums = [sum(b["x"][0] for b in BATCHES[start : start + accumulation]) / accumulation for start in starts]
    assert_gradients(seen, 2 * [torch.as_tensor(one) for one in sums])
    assert len(calls) == len(seen)


class Scaler(torch.amp.GradScaler):
    """A GradScaler that works on the CPU, to see its order of steps."""

    def __init__(self) -> None:
        super().__init__("cpu", init_scale=1024.0)
        self.unscaled = 0

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        self.unscaled += 1
        super().unscale_(optimizer)


@pytest.mark.filterwarnings("ignore:(CUDA is not available|.*device_type of .cuda.):UserWarning")
@pytest.mark.parametrize("accumulation", [1, 2])
def test_scaled_gradients_are_unscaled_before_they_are_measured(accumulation: int) -> None:
    scaler = Scaler()
    seen, _ = run(accumulation, scaler)
    plain, _ = run(accumulation)
    assert scaler.unscaled == len(seen) == len(plain)
    for ours, theirs in zip(seen, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan")])
def test_a_length_that_is_not_positive_is_refused(max_norm: float) -> None:
    with pytest.raises(ValueError, match=str(max_norm)):
        ClipGradients([nn.Parameter(torch.zeros(1))], max_norm)
