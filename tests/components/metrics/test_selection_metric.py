# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from radbundles.components.metrics import ClassificationMetric, selection_metric

LABELS = np.array([[1], [0]], np.int8)


def test_loss_counts_the_more_the_smaller_it_is() -> None:
    def step(_: Engine, loss: float) -> dict[str, dict[str, torch.Tensor]]:
        return {"image": {"image": torch.zeros(2, 1)}, "pred": {"loss": torch.tensor(loss)}}

    engine = Engine(step)
    selection_metric("loss", labels=np.full((2, 1), -1)).attach(engine, "score")
    assert engine.run([1.0, 2.0]).metrics["score"] == pytest.approx(-1.5)


def test_scores_are_judged_on_the_section_at_once() -> None:
    assert isinstance(selection_metric("auroc", labels=LABELS), ClassificationMetric)
    with pytest.raises(ValueError, match="auroc is not defined"):
        selection_metric("auroc", labels=LABELS[:1])


def test_unknown_selection_is_refused() -> None:
    with pytest.raises(ValueError, match="or loss|, loss.*'dice'"):
        selection_metric("dice", labels=LABELS)
