# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from radbundles.losses import MultiClassLoss, MultiLabelLoss, classification_loss

LABELS = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.int8)


def test_task_decides_the_loss() -> None:
    assert isinstance(classification_loss("multilabel"), MultiLabelLoss)
    assert isinstance(classification_loss("multiclass"), MultiClassLoss)


def test_rare_class_weighs_more_where_labels_are_given() -> None:
    logits, rare, common = torch.zeros(1, 2), torch.tensor([[1, 0]]), torch.tensor([[0, 1]])
    for task in ("multilabel", "multiclass"):
        plain, weighted = classification_loss(task), classification_loss(task, labels=LABELS)
        assert torch.equal(plain(logits, rare), plain(logits, common))
        if task == "multilabel":
            assert weighted(logits, rare) > weighted(logits, common)
        else:  # a weighted mean: the weights tell in a batch of both
            both = torch.tensor([[1, 0], [0, 1]])
            mistaken = torch.tensor([[-2.0, 2.0], [-2.0, 2.0]])
            assert weighted(mistaken, both) > plain(mistaken, both)


def test_smoothing_is_for_exclusive_classes() -> None:
    logits, labels = torch.tensor([[9.0, -9.0]]), torch.tensor([[1, 0]])
    assert classification_loss("multiclass", label_smoothing=0.1)(logits, labels) > 0.5
    with pytest.raises(ValueError, match="multiclass"):
        classification_loss("multilabel", label_smoothing=0.1)


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="'binary'"):
        classification_loss("binary")  # type: ignore[arg-type]
