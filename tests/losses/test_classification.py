# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radbundles.losses import MultiClassLoss, MultiLabelLoss

LABELS = torch.tensor([[1, 0, -1], [0, -1, -1], [1, 1, 0], [-1, -1, -1]])
CLASSES = torch.tensor([[0, 1, 0], [1, 0, 0], [-1, -1, -1], [0, 0, 1], [0, 0, 0], [1, 1, 0]])


def random_logits(rows: int) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.mark.parametrize("weight", [None, [0.5, 3.0, 2.0]])
def test_several_labels_are_pytorchs_loss_of_what_is_known(weight: list[float] | None) -> None:
    logits = random_logits(4)
    loss = MultiLabelLoss(pos_weight=weight)(logits, LABELS)
    reference = nn.BCEWithLogitsLoss(reduction="none", pos_weight=None if weight is None else torch.tensor(weight))
    each = reference(logits, LABELS.clamp(min=0).float())
    torch.testing.assert_close(loss, each[LABELS >= 0].mean())


@pytest.mark.parametrize("weight", [None, [0.5, 3.0, 2.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_class_is_pytorchs_loss_of_the_rows_that_are_known(weight: list[float] | None, smoothing: float) -> None:
    logits = random_logits(6)
    loss = MultiClassLoss(weight=weight, label_smoothing=smoothing)(logits, CLASSES)
    expected = F.cross_entropy(
        logits[[0, 1, 3]],
        torch.tensor([1, 0, 2]),
        weight=None if weight is None else torch.tensor(weight),
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(("loss", "labels"), [(MultiLabelLoss(), LABELS), (MultiClassLoss(), CLASSES)])
def test_what_is_unknown_enters_neither_value_nor_gradient(loss: nn.Module, labels: torch.Tensor) -> None:
    unknown = labels < 0 if isinstance(loss, MultiLabelLoss) else ((labels == 1).sum(1) != 1)[:, None].expand(-1, 3)
    clean = random_logits(len(labels))
    expected = loss(clean, labels)
    expected.backward()
    for poison in (float("nan"), float("inf"), 1e30):
        logits = clean.detach().masked_fill(unknown, poison).requires_grad_()
        value = loss(logits, labels)
        value.backward()
        assert torch.equal(value, expected)
        assert logits.grad is not None and clean.grad is not None
        assert torch.equal(logits.grad, clean.grad) and not logits.grad[unknown].any()


@pytest.mark.parametrize("loss", [MultiLabelLoss(pos_weight=[1, 2, 3]), MultiClassLoss(weight=[1, 2, 3])])
def test_nothing_known_is_zero_with_a_gradient_of_zero(loss: nn.Module) -> None:
    logits = torch.full((2, 3), float("nan"), requires_grad=True)
    value = loss(logits, torch.full((2, 3), -1))
    value.backward()
    assert value.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_half_precision_gives_a_loss_in_float32() -> None:
    for loss, labels in ((MultiLabelLoss(), LABELS), (MultiClassLoss(), CLASSES)):
        assert loss(random_logits(len(labels)).bfloat16(), labels).dtype == torch.float32


def test_weights_are_no_part_of_the_state() -> None:
    assert not MultiLabelLoss(pos_weight=[1.0]).state_dict() and not MultiClassLoss(weight=[1.0]).state_dict()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiLabelLoss(pos_weight=[1, -2]), r"pos_weight must not be negative, got \[1, -2\]"),
        (lambda: MultiClassLoss(label_smoothing=1), r"label_smoothing must lie in \[0, 1\), got 1"),
        (lambda: MultiLabelLoss()(torch.zeros(2, 3), torch.zeros(2)), "must both be"),
        (lambda: MultiLabelLoss()(torch.zeros(1, 3), torch.tensor([[0, 1, 2]])), r"1, 0 or -1, got \[2\]"),
        (lambda: MultiClassLoss(weight=[1, 1])(torch.zeros(1, 3), torch.zeros(1, 3)), "2 weights for 3 classes"),
    ],
)
def test_wrong_values_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
