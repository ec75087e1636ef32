# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from radbundles.components.metrics import OfficialDice


def test_counts_empty_images_and_leaves_out_unknown_ones() -> None:
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    masks[0, 0, :2] = 1  # 8 pixels
    masks[1, 2] = 1  # unknown: whatever lies there does not count
    labels = torch.tensor([[1, 0, 0], [0, 0, -1]])
    logits = torch.full((2, 3, 4, 4), -1.0)
    logits[0, 0, 0] = 1  # 4 of the 8: Dice 2 * 4 / 12
    logits[1, 1, 0, 0] = 1  # a false alarm: 0; the three other empty ones are silent: 1 each
    output = {"image": {"masks": masks, "labels": labels}, "pred": {"logits": logits}}
    engine = Engine(lambda _, output: output)
    OfficialDice().attach(engine, "dice")
    assert engine.run([output]).metrics["dice"] == pytest.approx((2 / 3 + 3 * 1 + 0) / 5)
