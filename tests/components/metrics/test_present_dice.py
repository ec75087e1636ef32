# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from radbundles.components.metrics import PresentDice


def mean_dice(*outputs: dict[str, Any]) -> float:
    """The metric of an evaluator that puts these out."""
    engine = Engine(lambda _, output: output)
    PresentDice().attach(engine, "dice")
    return float(engine.run(outputs).metrics["dice"])


def output(masks: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> dict[str, Any]:
    return {"image": {"masks": masks, "labels": labels}, "pred": {"logits": logits}}


def test_counts_present_classes_with_pixels_alone() -> None:
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    masks[0, 0, :2] = 1  # 8 pixels
    masks[1, 1, 0, :2] = 1  # 2 pixels
    masks[1, 2] = 1  # unknown: whatever lies there does not count
    labels = torch.tensor([[1, 1, 0], [0, 1, -1]])  # [0, 1] is present, and its mask was moved out of the picture
    logits = torch.full((2, 3, 4, 4), -1.0)
    logits[0, 0, 0] = 1  # 4 of the 8: Dice 2 * 4 / 12
    logits[1, 1, 0] = 1  # 4, of which 2: 2 * 2 / 6
    logits[0, 2] = 1  # absent: false alarms are the loss's affair
    half, whole = output(masks, labels, logits), output(masks, labels, masks.float() - 0.5)
    assert mean_dice(half) == pytest.approx(2 / 3)
    assert mean_dice(half, whole) == pytest.approx((2 * 2 / 3 + 2 * 1) / 4)


def test_nothing_present_is_not_a_number() -> None:
    empty = torch.zeros(1, 2, 4, 4)
    assert math.isnan(mean_dice(output(empty, torch.tensor([[0, -1]]), empty)))
