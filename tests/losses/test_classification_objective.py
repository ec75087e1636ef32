# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from torch import nn

from radbundles.losses import ClassificationObjective, MultiLabelLoss


def test_logits_come_in_evaluation_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    objective = ClassificationObjective(network, MultiLabelLoss())
    batch = {"image": torch.randn(3, 3, 2, 2), "labels": torch.tensor([[1, 0], [0, -1], [1, 1]]), "id": ["a", "b", "c"]}
    trained = objective(batch)
    assert list(trained) == ["loss"]
    trained["loss"].backward()
    assert all(p.grad is not None for p in network.parameters())
    judged = objective.eval()(batch)
    torch.testing.assert_close(judged["logits"], network(batch["image"]))
    torch.testing.assert_close(judged["loss"], trained["loss"])
