# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader

from radbundles.components.data import collate_boxes
from radbundles.transforms import FitRadiographd, LoadBoxesd


def sample(id: str, boxes: list[list[float]]) -> dict[str, Any]:
    item = {"id": id, "image": MetaTensor(torch.rand(1, 20, 30)), "boxes": {"nodule": boxes}, "patient": "p"}
    return dict(FitRadiographd("image", size=16, box_keys="boxes")(LoadBoxesd(["nodule"])(item)))


def test_boxes_stay_lists_and_the_rest_is_stacked() -> None:
    samples = [sample("a", [[0, 0, 30, 20], [3, 3, 9, 9]]), sample("b", [])]
    batch = next(iter(DataLoader(samples, batch_size=2, collate_fn=collate_boxes)))  # type: ignore[arg-type]
    assert set(batch) == {"image", "boxes", "box_classes", "stored_boxes", "size", "id"}
    assert batch["image"].shape == (2, 1, 16, 16) and type(batch["image"]) is torch.Tensor
    assert [len(boxes) for boxes in batch["boxes"]] == [2, 0] and batch["boxes"][1].shape == (0, 4)
    assert [numbers.tolist() for numbers in batch["box_classes"]] == [[0, 0], []]
    assert batch["stored_boxes"][0].tolist() == [[0, 0, 30, 20], [3, 3, 9, 9]]
    assert batch["size"].tolist() == [[20, 30], [20, 30]] and batch["id"] == ["a", "b"]


def test_what_is_missing_or_does_not_fit_is_named() -> None:
    bare = sample("a", [])
    del bare["boxes"]
    with pytest.raises(ValueError, match="'a' has no 'boxes'"):
        collate_boxes([bare])
    uneven = {**sample("b", [[0, 0, 5, 5]]), "box_classes": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"'b'.*\[1, 4\], but 2 classes"):
        collate_boxes([uneven])
