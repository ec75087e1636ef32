# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from radbundles.components.data import collate_labels


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return {"id": name, "image": MetaTensor(torch.rand(3, 4, 4)), "labels": [1, 0, -1], "patient": "x"} | changes


def test_batch_holds_images_labels_and_ids_alone() -> None:
    batch = collate_labels([sample("a"), sample("b", labels=torch.tensor([0, 0, 1]))])
    assert set(batch) == {"image", "labels", "id"} and batch["id"] == ["a", "b"]
    assert batch["image"].shape == (2, 3, 4, 4) and type(batch["image"]) is torch.Tensor
    assert batch["labels"].dtype == torch.int64 and batch["labels"].tolist() == [[1, 0, -1], [0, 0, 1]]


def test_sample_without_labels_is_named() -> None:
    lacking = sample("b")
    del lacking["labels"]
    with pytest.raises(ValueError, match="sample 'b' has no 'labels'"):
        collate_labels([sample("a"), lacking])


def test_sample_with_other_classes_is_named() -> None:
    with pytest.raises(ValueError, match=r"sample 'b': 'labels' has the shape \(2,\)"):
        collate_labels([sample("a"), sample("b", labels=[1, 0])])
