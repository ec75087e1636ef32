# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from radbundles.losses import RebalancedMLMLoss

# Log-probabilities are easy to read: the logits are logarithms of probabilities.
LOGITS = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]).log()
LABELS = torch.tensor([[0, 2, 2]])
WEIGHTS = torch.tensor([[1.0, 0.05, 2.0]])
MASKED = torch.tensor([[False, True, True]])
ERRORS = [-math.log(p) for p in (0.5, 0.1, 0.6)]


def test_masked_positions_are_averaged_with_their_weights() -> None:
    loss = RebalancedMLMLoss()(LOGITS, LABELS, WEIGHTS, MASKED)
    assert loss.item() == pytest.approx((0.05 * ERRORS[1] + 2 * ERRORS[2]) / 2)


def test_without_the_factor_every_token_counts_alike() -> None:
    loss = RebalancedMLMLoss(rebalance=False)(LOGITS, LABELS, WEIGHTS, MASKED)
    assert loss.item() == pytest.approx((ERRORS[1] + ERRORS[2]) / 2)


def test_official_loss_averages_over_all_positions() -> None:
    loss = RebalancedMLMLoss("all")(LOGITS, LABELS, WEIGHTS, MASKED)
    assert loss.item() == pytest.approx((ERRORS[0] + 0.05 * ERRORS[1] + 2 * ERRORS[2]) / 3)


def test_logits_at_masked_positions_give_the_same_loss() -> None:
    loss = RebalancedMLMLoss()
    assert torch.equal(loss(LOGITS[MASKED], LABELS, WEIGHTS, MASKED), loss(LOGITS, LABELS, WEIGHTS, MASKED))


def test_nothing_masked_is_no_loss_but_has_a_gradient() -> None:
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = RebalancedMLMLoss()(logits, LABELS, WEIGHTS, torch.zeros(1, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None


def test_half_precision_is_scored_in_float32() -> None:
    assert RebalancedMLMLoss()(LOGITS.bfloat16(), LABELS, WEIGHTS, MASKED).dtype == torch.float32


def test_logits_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\) do not fit the \(2,\) labels"):
        RebalancedMLMLoss()(LOGITS[0, :1], LABELS, WEIGHTS, MASKED)
    with pytest.raises(ValueError, match=r"\(1, 3\), \(1, 2\) and \(1, 3\)"):
        RebalancedMLMLoss()(LOGITS, LABELS, WEIGHTS[:, :2], MASKED)


def test_unknown_choice_of_positions_is_refused() -> None:
    with pytest.raises(ValueError, match="visible"):
        RebalancedMLMLoss("visible")  # type: ignore[arg-type]
