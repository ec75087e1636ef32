# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, Invertd
from PIL import Image

from radbundles.transforms import (
    FitRadiograph,
    FitRadiographD,
    FitRadiographd,
    FitRadiographDict,
    FittedFrame,
    LoadRadiographd,
)

SHAPES = [(120, 200), (201, 77), (64, 64), (20, 31)]


def smooth(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return (0.5 + 0.5 * torch.sin(rows) * torch.cos(columns))[None]


def load_and_fit(folder: Path, shape: tuple[int, int], size: int = 64) -> tuple[Compose, dict[Any, Any]]:
    picture = (smooth(*shape)[0].numpy() * 255).round().astype(np.uint8)
    name = f"{shape[0]}x{shape[1]}.png"
    Image.fromarray(picture).save(folder / name)
    transform = Compose([LoadRadiographd("image"), FitRadiographd("image", size=size)])
    return transform, transform({"image": folder / name})


def test_content_is_centered_and_padding_is_zero() -> None:
    fitted = FitRadiograph(64)(torch.full((1, 100, 51), 0.5))  # 32.64 columns: 33, 15 before and 16 after
    assert fitted.shape == (1, 64, 64)
    assert (fitted[0, :, 15:48] - 0.5).abs().max() < 1e-6
    assert fitted[0, :, :15].eq(0).all()
    assert fitted[0, :, 48:].eq(0).all()


def test_fine_lines_are_averaged_not_skipped() -> None:
    stripes = torch.zeros(1, 512, 512)
    stripes[..., ::2] = 1
    fitted = FitRadiograph(64)(stripes)
    assert (fitted[..., 2:-2] - 0.5).abs().max() < 0.02


def test_image_that_fits_is_left_alone() -> None:
    image = torch.rand(1, 64, 40)
    assert torch.equal(FitRadiograph(64)(image)[..., 12:52], image)


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_follows_the_content(shape: tuple[int, int]) -> None:
    rows, columns = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij")
    positions = torch.stack([rows, columns]).float() / 256
    affine = torch.diag(torch.tensor([0.5, 0.25, 1, 1], dtype=torch.float64))
    fitted = FitRadiograph(64)(MetaTensor(positions, affine=affine))
    assert isinstance(fitted, MetaTensor)
    found = fitted.affine @ torch.tensor([32, 32, 0, 1], dtype=torch.float64)
    source = torch.as_tensor(fitted.array[:, 32, 32]).double() * 256
    assert torch.allclose(found[:2], source * torch.tensor([0.5, 0.25], dtype=torch.float64), atol=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", [64, 16])
def test_maps_come_back_to_the_original_pixels(tmp_path: Path, shape: tuple[int, int], grid: int) -> None:
    transform, item = load_and_fit(tmp_path, shape)
    square = FitRadiograph(512)(torch.ones(1, *shape))  # a map of any grid: where the image lies
    item["pred"] = MetaTensor(torch.nn.functional.adaptive_avg_pool2d(square, grid))
    restored = Invertd("pred", transform=transform, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert restored.shape == (1, *shape)
    assert "fitted_frame" not in restored.meta
    assert torch.allclose(restored.affine, torch.eye(4, dtype=torch.float64), atol=1e-9)
    margin = 3 * max(shape) // (2 * grid) + 2  # a cell and a half: the one on the border is interpolated from
    assert (restored[:, margin:-margin, margin:-margin].as_tensor() > 0.99).all()


def test_image_itself_comes_back(tmp_path: Path) -> None:
    transform, item = load_and_fit(tmp_path, (120, 200), size=128)
    item["pred"] = MetaTensor(item["image"].as_tensor().clone())
    restored = Invertd("pred", transform=transform, orig_keys="image", nearest_interp=False)(item)["pred"]
    error = (restored.as_tensor() - smooth(120, 200)).abs()
    assert error[:, 2:-2].max() < 0.02


def test_frame_survives_collation_and_decollation(tmp_path: Path) -> None:
    items = [load_and_fit(tmp_path, shape)[1] for shape in SHAPES]
    batch = list_data_collate(items)
    assert batch["image"].shape == (len(SHAPES), 1, 64, 64)
    for item, shape in zip(decollate_batch(batch), SHAPES, strict=True):
        assert FittedFrame.of(item["image"]) == FittedFrame(*shape, 64)


def test_masks_and_boxes_follow_the_image() -> None:
    mask = torch.zeros(2, 200, 100, dtype=torch.uint8)
    mask[0, 50:100, 20:60] = 1
    item = {
        "image": MetaTensor(torch.rand(1, 200, 100)),
        "mask": MetaTensor(mask),
        "boxes": {"lung": [[20, 50, 60, 100]], "heart": []},
        "phrases": [{"text": "opacity", "boxes": [[0, 0, 100, 200]]}],
    }
    transform = FitRadiographd("image", size=50, mask_keys="mask", box_keys=["boxes", "phrases", "absent"])
    fitted = transform(item)
    assert fitted["boxes"] == {"lung": [[17, 12.5, 27, 25]], "heart": []}
    assert fitted["phrases"] == [{"text": "opacity", "boxes": [[12, 0, 37, 50]]}]  # 25 columns: 12 of padding before
    assert fitted["mask"].dtype == torch.uint8
    inside = fitted["mask"][0].nonzero()
    assert inside.min(0).values.tolist() == [12, 17]
    assert inside.max(0).values.tolist() == [24, 26]
    assert fitted["mask"][1].sum() == 0
    restored = transform.inverse(fitted)["mask"]
    assert restored.shape == mask.shape
    assert (restored.as_tensor() != mask).float().mean() < 0.02


def test_array_of_boxes_stays_one() -> None:
    boxes = FitRadiographd("image", size=50, box_keys="boxes")(
        {"image": torch.zeros(1, 100, 100), "boxes": torch.tensor([[10, 20, 30, 40]])}
    )["boxes"]
    assert boxes.tolist() == [[5, 10, 15, 20]]


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="'mask' is 9 x 9, but its image is 10 x 9"):
        FitRadiographd("image", size=8, mask_keys="mask")(
            {"image": torch.zeros(1, 10, 9), "mask": torch.zeros(1, 9, 9)}
        )


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0"):
        FitRadiograph(0)
    with pytest.raises(ValueError, match="'area'"):
        FitRadiograph(8, mode="area")
    assert FitRadiographD is FitRadiographDict is FitRadiographd
