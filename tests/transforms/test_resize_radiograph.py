# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from PIL import Image

from radbundles.transforms import (
    LoadRadiographd,
    ResizeRadiograph,
    ResizeRadiographD,
    ResizeRadiographd,
    ResizeRadiographDict,
)
from radbundles.transforms.resize_radiograph import resample


def smooth(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return (0.5 + 0.5 * torch.sin(rows) * torch.cos(columns))[None]


@pytest.mark.parametrize("box", [(0, 0, 300, 260), (10, 30, 211, 180), (5, 7, 40, 30)])
def test_resampling_is_that_of_pillow(box: tuple[int, int, int, int]) -> None:
    image = torch.from_numpy(np.random.RandomState(0).rand(1, 300, 260).astype(np.float32))
    top, left, height, width = box
    crop = Image.fromarray(image[0, top : top + height, left : left + width].numpy())
    expected = np.asarray(crop.resize((96, 64), Image.Resampling.BICUBIC)).clip(0, 1)
    resized = resample(image, box, (64, 96))
    assert np.abs(resized[0].numpy() - expected).max() < 2e-5
    flipped = resample(image, box, (64, 96), flipped=True)
    assert torch.equal(flipped, resized.flip(-1))


def test_result_stays_within_black_and_white() -> None:
    edges = torch.zeros(1, 64, 64)
    edges[..., 20:40] = 1.0
    resized = ResizeRadiograph(50)(edges)
    assert resized.min() == 0
    assert resized.max() == 1


@pytest.mark.parametrize("flipped", [False, True])
def test_affine_follows_the_content(flipped: bool) -> None:
    height, width = 80, 100
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions = torch.stack([rows, columns]).float() / 100
    affine = torch.diag(torch.tensor([0.5, 0.25, 1, 1], dtype=torch.float64))
    resized = resample(MetaTensor(positions, affine=affine), (10, 20, 40, 60), (20, 30), flipped=flipped)
    assert isinstance(resized, MetaTensor)
    for row, column in ((7, 9), (12, 20)):
        found = resized.affine @ torch.tensor([row, column, 0, 1], dtype=torch.float64)
        source = torch.as_tensor(resized.array[:, row, column]).double() * 100
        assert torch.allclose(found[:2], source * torch.tensor([0.5, 0.25], dtype=torch.float64), atol=1e-3)
    assert resized.meta["crop"] == (10, 20, 40, 60)
    assert resized.meta["flipped"] is flipped


def test_dictionary_twin_resizes_and_places_the_window() -> None:
    resized = ResizeRadiographd("image", size=32)({"image": smooth(40, 60), "window": [0, 2]})
    assert resized["image"].shape == (1, 32, 32)
    assert resized["window"].dtype == torch.float32
    assert resized["window"].tolist() == pytest.approx([0, 2 / 14, 12 / 14, 1])
    assert torch.equal(resized["image"], ResizeRadiograph(32)(smooth(40, 60)))
    assert ResizeRadiographD is ResizeRadiographDict is ResizeRadiographd


def test_missing_window_is_the_one_in_the_middle_and_none_is_left_alone() -> None:
    item = {"image": smooth(40, 60)}
    assert ResizeRadiographd("image", size=32)(item)["window"].tolist() == pytest.approx(
        [1 / 14, 1 / 14, 13 / 14, 13 / 14]
    )
    assert "window" not in ResizeRadiographd("image", size=32, window_key=None)(item)


def test_maps_come_back_to_the_original_pixels(tmp_path: Path) -> None:
    picture = (smooth(120, 200)[0].numpy() * 255).round().astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "image.png")
    transform = Compose([LoadRadiographd("image"), ResizeRadiographd("image", size=64)])
    item = transform({"image": tmp_path / "image.png"})
    assert item["image"].meta["original_size"] == (120, 200)
    item["pred"] = MetaTensor(item["image"].as_tensor().clone())
    restored = Invertd("pred", transform=transform, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert restored.shape == (1, 120, 200)
    assert np.abs(restored[0].numpy() - picture / 255).max() < 0.03
    assert torch.allclose(restored.affine, torch.eye(4, dtype=torch.float64), atol=1e-9)


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="got 0"):
        ResizeRadiograph(0)
