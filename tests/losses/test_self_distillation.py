# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from radbundles.losses import SelfDistillationLoss

VIEWS = """
from radbundles.losses import SelfDistillationLoss
generator = torch.Generator().manual_seed(0)
steps = [(torch.randn(2, 6, 5, generator=generator), torch.randn(5, 6, 5, generator=generator)) for _ in range(3)]
distillation = SelfDistillationLoss(dim=5, center_momentum=0.6)
"""
TWO = """
own = slice(3 * rank, 3 * rank + 3)
result["losses"] = torch.stack([distillation(teacher[:, own], student[:, own]) for teacher, student in steps])
result["center"] = distillation.center
"""


def logits(views: int, *, batch: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(views, batch, 7, generator=torch.Generator().manual_seed(seed))


def loop_loss(teacher: torch.Tensor, student: torch.Tensor, center: torch.Tensor, temperatures: Any) -> torch.Tensor:
    pairs = []
    for g, taught in enumerate(teacher):
        target = ((taught - center) / temperatures[0]).softmax(-1)
        for v, view in enumerate(student):
            if v != g:
                pairs.append(-(target * (view / temperatures[1]).log_softmax(-1)).sum(-1).mean())
    return torch.stack(pairs).mean()


@pytest.mark.parametrize(("global_views", "local_views"), [(2, 4), (1, 1), (1, 3), (2, 0), (3, 1)])
def test_any_number_of_views_gives_the_mean_over_pairs(global_views: int, local_views: int) -> None:
    teacher, student = logits(global_views), logits(global_views + local_views, seed=1).requires_grad_()
    loss = SelfDistillationLoss(dim=7, teacher_temperature=0.3, student_temperature=0.6).eval()
    loss.center.copy_(logits(1, batch=1, seed=2)[0])
    expected = loop_loss(teacher, student, loss.center, (0.3, 0.6))
    torch.testing.assert_close(loss(teacher, student), expected)
    ours, theirs = (torch.autograd.grad(value, student)[0] for value in (loss(teacher, student), expected))
    torch.testing.assert_close(ours, theirs)


def test_one_pair_by_hand() -> None:
    # Teacher (ln 3, 0) centered by (ln 3, 0) is even; student (ln 3, 0) has 3/4 and 1/4.
    loss = SelfDistillationLoss(dim=2, teacher_temperature=1.0, student_temperature=1.0).eval()
    view = torch.tensor([[[math.log(3), 0.0]]])
    loss.center.copy_(view[0])
    value = loss(view, torch.cat([torch.zeros_like(view), view]))
    assert value.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, rel=1e-6)


def test_center_moves_after_the_loss_and_in_training_only() -> None:
    teacher, student = logits(2), logits(6, seed=1)
    loss = SelfDistillationLoss(dim=7).eval()
    before = loss(teacher, student)
    assert torch.equal(loss.center, torch.zeros(1, 7))
    assert torch.equal(loss.train()(teacher, student), before)
    torch.testing.assert_close(loss.center, 0.1 * teacher.mean((0, 1))[None])
    assert not torch.isclose(loss(teacher, student), before)
    torch.testing.assert_close(loss.center, 0.19 * teacher.mean((0, 1))[None])


def test_center_is_saved_with_the_state() -> None:
    loss = SelfDistillationLoss(dim=7).train()
    loss(logits(2), logits(6, seed=1))
    other = SelfDistillationLoss(dim=7)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.center, loss.center) and loss.center.abs().max() > 0


def test_teacher_gets_no_gradient() -> None:
    teacher, student = logits(2).requires_grad_(), logits(6, seed=1).requires_grad_()
    SelfDistillationLoss(dim=7)(teacher, student).backward()
    assert teacher.grad is None and student.grad is not None and student.grad.abs().max() > 0


def test_loss_and_center_are_float32_under_bfloat16_autocast() -> None:
    teacher, student = logits(2), logits(6, seed=1)
    reference, loss = SelfDistillationLoss(dim=7).train(), SelfDistillationLoss(dim=7).train()
    expected = reference(teacher, student)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(teacher, student)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    assert loss.center.dtype == torch.float32 and torch.equal(loss.center, reference.center)
    assert loss(teacher.bfloat16(), student.bfloat16()).dtype == torch.float32


def test_two_processes_agree_with_one(two_processes: Callable[[str], list[dict[str, torch.Tensor]]]) -> None:
    results = two_processes(VIEWS + TWO)
    whole: dict[str, Any] = {}
    exec("import torch" + VIEWS, whole)
    losses = torch.stack([whole["distillation"](teacher, student) for teacher, student in whole["steps"]])
    torch.testing.assert_close((results[0]["losses"] + results[1]["losses"]) / 2, losses)
    for result in results:
        torch.testing.assert_close(result["center"], whole["distillation"].center)
    assert torch.equal(results[0]["center"], results[1]["center"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"dim": 0}, "dim"),
        ({"teacher_temperature": 0.0}, "temperatures"),
        ({"student_temperature": -1.0}, "temperatures"),
        ({"center_momentum": 1.5}, "center_momentum"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SelfDistillationLoss(**arguments)


def test_views_that_do_not_fit_are_refused() -> None:
    loss = SelfDistillationLoss(dim=7)
    with pytest.raises(ValueError, match="1 teacher views and 1 student views"):
        loss(logits(1), logits(1))
    with pytest.raises(ValueError, match="3 teacher views and 2 student views"):
        loss(logits(3), logits(2))
    with pytest.raises(ValueError, match=r"\(5, 3, 7\)"):
        loss(logits(2), logits(5, batch=3))
    with pytest.raises(ValueError, match=r"\[G, B, 8\]"):
        SelfDistillationLoss(dim=8)(logits(2), logits(5))
