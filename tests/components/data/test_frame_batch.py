# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from radbundles.components.data import collate_frames
from radbundles.transforms import FitRadiograph, FittedFrame


def sample(id: str, shape: tuple[int, int], **meta: Any) -> dict[str, Any]:
    image = FitRadiograph(16)(MetaTensor(torch.rand(1, *shape), meta=meta))
    return {
        "id": id,
        "image": image,
        "masks": torch.zeros(2, 16, 16, dtype=torch.uint8),
        "labels": torch.ones(2).long(),
    }


def test_tells_size_and_spacing_of_each_stored_image() -> None:
    batch = collate_frames([sample("a", (40, 30), spacing=(0.2, 0.3)), sample("b", (7, 50))])
    assert batch["size"].tolist() == [[40, 30], [7, 50]] and batch["size"].dtype == torch.int64
    assert batch["spacing"][0].tolist() == [0.2, 0.3] and batch["spacing"][1].isnan().all()
    assert batch["image"].shape == (2, 1, 16, 16) and batch["id"] == ["a", "b"]
    height, width = batch["size"][1].tolist()
    assert FittedFrame(height, width, 16).to_original(batch["image"][1]).shape == (1, 7, 50)


def test_refuses_an_image_that_was_not_fitted() -> None:
    whole = sample("a", (16, 16)) | {"image": torch.rand(1, 16, 16)}
    with pytest.raises(ValueError, match="sample 'a'.*FitRadiograph"):
        collate_frames([whole])
