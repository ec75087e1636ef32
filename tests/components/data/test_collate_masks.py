# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from radbundles.components.data import collate_masks


def sample(name: str, size: int = 8, classes: int = 3) -> dict[str, Any]:
    return {
        "id": name,
        "source": "a",
        "patient": "secret",
        "image": MetaTensor(torch.rand(3, size, size)),
        "masks": MetaTensor(torch.ones(classes, size, size, dtype=torch.uint8)),
        "labels": torch.tensor([1, 0, -1][:classes]),
        "report": {"text": "secret"},
    }


def test_batch_holds_what_training_needs_and_no_more() -> None:
    batch = pickle.loads(pickle.dumps(collate_masks))([sample("x"), sample("y")])
    assert set(batch) == {"image", "masks", "labels", "id", "source"}
    assert (batch["image"].shape, batch["image"].dtype) == ((2, 3, 8, 8), torch.float32)
    assert (batch["masks"].shape, batch["masks"].dtype) == ((2, 3, 8, 8), torch.uint8)
    assert (batch["labels"].tolist(), batch["labels"].dtype) == ([[1, 0, -1]] * 2, torch.int64)
    assert (batch["id"], batch["source"]) == (["x", "y"], ["a", "a"])
    assert not any(isinstance(value, MetaTensor) for value in batch.values())


def test_samples_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"'y': 'image' has the shape \(3, 9, 9\)"):
        collate_masks([sample("x"), sample("y", size=9)])
    incomplete = sample("y")
    del incomplete["masks"]
    with pytest.raises(ValueError, match="'y' has no 'masks'"):
        collate_masks([sample("x"), incomplete])
