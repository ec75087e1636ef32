# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad

from radbundles.components.data import SeededDataset
from radbundles.transforms import (
    FitRadiograph,
    FittedFrame,
    MultiCropRadiographD,
    MultiCropRadiographd,
    MultiCropRadiographDict,
    RandRadiographView,
    crops_to_original,
)
from radbundles.transforms.fit_radiograph import fit_content
from radbundles.transforms.rand_radiograph_crop import RandRadiographCrop

STILL: dict[str, Any] = {"jitter_probability": 0, "noise_probability": 0}
SMALL: dict[str, Any] = {"global_size": 48, "local_size": 32, "fit_size": 64}


def ramps(height: int, width: int) -> torch.Tensor:
    """Two images [1, H, W] that tell the place of each pixel: x / width and y / height."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([x, y])[:, None]


def smooth(height: int, width: int) -> torch.Tensor:
    x, y = ramps(height, width)
    return 0.5 + 0.4 * torch.sin(9 * x + 2 * y) * torch.cos(7 * y)


def test_official_recipe_has_two_global_and_four_local_crops() -> None:
    item = MultiCropRadiographd().set_random_state(0)({"image": MetaTensor(smooth(600, 500)), "id": "a"})
    assert item["image_global"].shape == (2, 3, 512, 512)
    assert item["image_local"].shape == (4, 3, 224, 224)
    assert item["image_crops"].shape == (6, 2, 3)
    assert {type(item[key]) for key in ("image_global", "image_local")} == {torch.Tensor}
    assert item["image_global"].dtype == item["image_local"].dtype == torch.float32
    assert item["image_global"].min() >= 0
    assert item["image_global"].max() <= 1
    assert item["id"] == "a"


def test_one_channel_and_no_local_crops() -> None:
    item = MultiCropRadiographd(local_crops=0, global_crops=3, channels=1, **SMALL)({"image": smooth(60, 50)})
    assert item["image_global"].shape == (3, 1, 48, 48)
    assert "image_local" not in item
    assert item["image_crops"].shape == (3, 2, 3)


@pytest.mark.parametrize("shape", [(300, 200), (90, 240), (128, 128), (30, 21)])
def test_crops_tell_the_place_of_each_of_their_pixels(shape: tuple[int, int]) -> None:
    height, width = shape
    item = dict(zip("xy", ramps(height, width), strict=True))
    options = SMALL | STILL | {"fit_size": 128, "global_size": 96, "rotate": 20, "affine_probability": 1}
    shown: dict[str, torch.Tensor] = {}
    for key in "xy":
        shown |= MultiCropRadiographd(key, **options).set_random_state(3)({key: item[key]})
    matrices = shown["x_crops"]
    assert torch.equal(matrices, shown["y_crops"])
    seen = 0
    for name, size, kept in (("global", 96, matrices[:2]), ("local", 32, matrices[2:])):
        fractions = (torch.arange(size, dtype=torch.float64) + 0.5) / size
        v, u = torch.meshgrid(fractions, fractions, indexing="ij")
        places = torch.einsum("nij,jhw->nihw", kept, torch.stack([u, v, torch.ones_like(u)]))
        x, y = places[:, 0] / width, places[:, 1] / height
        edge = 3 / min(FittedFrame(height, width, 128).rows, FittedFrame(height, width, 128).columns)
        found_x, found_y = shown[f"x_{name}"][:, 0], shown[f"y_{name}"][:, 0]
        inside = (torch.minimum(x, y) > edge) & (torch.maximum(x, y) < 1 - edge) & (found_x > 0)
        seen += int(inside.sum())
        assert (found_x - x)[inside].abs().max() < 0.01
        assert (found_y - y)[inside].abs().max() < 0.01
    assert seen > 5000


def test_map_of_a_crop_comes_back_to_original_pixels() -> None:
    image = smooth(260, 200)
    item = MultiCropRadiographd(**STILL, affine_probability=1).set_random_state(1)({"image": image})
    for key, crops in (("image_global", item["image_crops"][:2]), ("image_local", item["image_crops"][2:])):
        restored = crops_to_original(item[key][:, 0], crops, (260, 200))
        # The padding of the square is black in a crop and outside of the image.
        covered = crops_to_original((item[key][:, 0] > 0).float(), crops, (260, 200)) > 0.999
        covered = F.avg_pool2d(covered.float(), 9, 1, 4) > 0.999  # not at the border
        assert covered.flatten(1).sum(1).min() > 5000
        assert (restored - image)[covered].abs().max() < 0.02


@pytest.mark.parametrize("shape", [(300, 200), (150, 400)])
@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_one_interpolation_equals_the_steps_it_stands_for(shape: tuple[int, int], moved: float) -> None:
    frame = FittedFrame(*shape, 256)
    content = fit_content(smooth(*shape), frame)
    for size, scale in ((256, (0.6, 1.0)), (112, (0.3, 0.5))):
        view = RandRadiographView(RandRadiographCrop(size, scale=scale, flip=0), rotate=4, probability=moved)
        view.set_random_state(7)
        found, _ = view(content, frame)
        # The official steps: rotate and shift the image in its own borders, pad, cut, resize.
        cos, sin, sides = math.cos(view.angle), math.sin(view.angle), np.array([frame.columns, frame.rows])
        rotation = np.array([[cos, -sin], [sin, cos]])
        linear = rotation * (sides[None] / sides[:, None])
        offset = -2 * (rotation @ (view.shift * sides)) / sides
        theta = torch.tensor(np.column_stack([linear, offset]), dtype=torch.float32)[None]
        grid = F.affine_grid(theta, [1, 1, frame.rows, frame.columns], align_corners=False)
        step = F.grid_sample(content[None], grid, align_corners=False)
        right, below = 256 - frame.left - frame.columns, 256 - frame.top - frame.rows
        step = F.pad(step, (frame.left, right, frame.top, below))
        top, left, height, width = view.crop.box
        step = step[..., top : top + height, left : left + width]
        expected = F.interpolate(step, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        difference = (found - expected).abs()
        assert difference.mean() < 0.004
        assert (difference > 0.02).float().mean() < 0.03  # the border between image and padding


def test_movement_reaches_no_padding_and_cuts_the_image_at_its_borders() -> None:
    frame = FittedFrame(100, 50, 100)
    view = RandRadiographView(RandRadiographCrop(100, scale=(1, 1), ratio=(1, 1), flip=0), rotate=20, probability=1)
    shown, _ = view.set_random_state(0)(torch.ones(1, 100, 50), frame)
    assert shown[..., :25].eq(0).all()
    assert shown[..., 75:].eq(0).all()
    assert 0.8 < shown[..., 25:75].mean() < 0.99


def drawn_boxes(image: torch.Tensor) -> np.ndarray:
    """Boxes (x0, y0, width, height) of global and local crops as shares of the square."""
    transform = MultiCropRadiographd(
        **STILL, affine_probability=0, fit_size=256, global_size=64, local_size=64, global_crops=200, local_crops=400
    )
    crops = transform.set_random_state(0)({"image": image})["image_crops"].numpy()
    return np.stack([crops[:, 0, 2], crops[:, 1, 2], crops[:, 0, 0], crops[:, 1, 1]], axis=1) / max(image.shape)


def uniform_quantiles(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Largest distance between the quantiles of values and those of a uniform distribution."""
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    return np.abs((np.sort(values) - low) / (high - low) - ranks).max()


def test_area_aspect_and_place_of_crops_are_distributed_as_said() -> None:
    boxes = drawn_boxes(torch.zeros(1, 256, 256))
    area, aspect = boxes[:, 2] * boxes[:, 3], boxes[:, 2] / boxes[:, 3]
    assert 0.597 < area[:200].min() < 0.63
    assert 0.9 < area[:200].max() <= 1
    assert 3 / 4 - 0.01 < aspect.min() < aspect.max() < 4 / 3 + 0.01
    local = slice(200, None)  # all of these fit, so that none is drawn again; 0.08 is beyond chance for 400
    assert uniform_quantiles(area[local], 0.3, 0.5) < 0.08
    assert uniform_quantiles(np.log(aspect[local]), np.log(3 / 4), np.log(4 / 3)) < 0.08
    for start, extent in ((0, 2), (1, 3)):
        assert uniform_quantiles(boxes[local, start] / (1 - boxes[local, extent]), 0, 1) < 0.08


def test_crops_are_placed_in_the_padded_square() -> None:
    boxes = drawn_boxes(torch.zeros(1, 256, 128))  # x from -64 to 192 of the image
    assert -0.25 <= boxes[:, 0].min() < -0.2
    assert 0.7 < (boxes[:, 0] + boxes[:, 2]).max() <= 0.75
    assert boxes[:, 1].min() >= 0


def test_noise_of_a_crop_differs_between_channels_and_is_as_strong_as_said() -> None:
    transform = MultiCropRadiographd(
        noise_variance=(40, 40), noise_probability=1, jitter_probability=0, affine_probability=0, global_scale=(1, 1),
        ratio=(1, 1), fit_size=128, global_size=128, local_crops=0, global_crops=4,
    )  # fmt: skip
    noise = (transform.set_random_state(0)({"image": torch.full((1, 128, 128), 0.5)})["image_global"] - 0.5) * 255
    assert (noise.var(dim=(2, 3)) - 40).abs().max() < 3
    assert (torch.corrcoef(noise.flatten(0, 1).flatten(1)) - torch.eye(12)).abs().max() < 0.05


def test_crops_without_augmentation_show_the_image_as_it_is() -> None:
    item = MultiCropRadiographd(augment=False, **SMALL).set_random_state(0)({"image": torch.full((1, 80, 80), 0.5)})
    for key in ("image_global", "image_local"):
        assert (item[key][..., 1:-1, 1:-1] - 0.5).abs().max() < 1e-6
    assert torch.equal(item["image_crops"][:, 0, 1], torch.zeros(6, dtype=torch.float64))


def test_each_crop_is_augmented_anew() -> None:
    image = torch.full((1, 64, 64), 0.5)
    item = MultiCropRadiographd(global_crops=8, jitter_probability=1, **SMALL).set_random_state(0)({"image": image})
    centers = item["image_global"][:, :, 16:32, 16:32].mean(dim=(1, 2, 3))
    assert len({round(float(center), 3) for center in centers}) == 8


def test_crops_are_a_function_of_the_random_state_alone() -> None:
    transform = MultiCropRadiographd(**SMALL)
    item = {"image": smooth(70, 90)}
    kept = item["image"].clone()
    torch.manual_seed(1)
    np.random.seed(1)
    first = transform.set_random_state(11)(item)
    states = torch.get_rng_state(), str(np.random.get_state())
    torch.manual_seed(2)
    np.random.seed(2)
    again = transform.set_random_state(11)(item)
    for key in ("image_global", "image_local", "image_crops"):
        assert torch.equal(first[key], again[key])
    assert not torch.equal(transform(item)["image_global"], first["image_global"])
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == str(np.random.get_state())
    assert torch.equal(item["image"], kept)


@pytest.mark.parametrize("augment", [True, False])
def test_sample_is_a_function_of_seed_epoch_and_index(augment: bool) -> None:
    transform = Compose([Lambdad("image", lambda size: smooth(*size)), MultiCropRadiographd(augment=augment, **SMALL)])
    data = [{"image": (60 + index, 80)} for index in range(4)]
    dataset = SeededDataset(data, transform, seed=5)
    first = [dataset[key] for key in (2, 1, 6)]
    again = [dataset[key] for key in (6, 2, 1)]
    for one, other in zip(first, (again[1], again[2], again[0]), strict=True):
        assert torch.equal(one["image_global"], other["image_global"])
        assert torch.equal(one["image_local"], other["image_local"])
    assert not torch.equal(first[0]["image_crops"], first[2]["image_crops"])  # the same image in the next epoch


def test_whole_square_is_what_fitting_makes() -> None:
    options: dict[str, Any] = SMALL | {"global_size": 64, "global_scale": (1, 1), "ratio": (1, 1), "augment": False}
    image = smooth(200, 120)
    item = MultiCropRadiographd(**options).set_random_state(0)({"image": image})
    assert torch.allclose(item["image_global"][0, :1], FitRadiograph(64)(image), atol=1e-5)


def test_a_fitted_image_gives_the_same_crops() -> None:
    image = MetaTensor(smooth(200, 120))
    crop = MultiCropRadiographd(**SMALL)
    first, second = (crop.set_random_state(0)({"image": given}) for given in (image, FitRadiograph(64)(image)))
    assert all(torch.equal(first[f"image_{name}"], second[f"image_{name}"]) for name in ("global", "local", "crops"))
    with pytest.raises(ValueError, match="fitted to 32, but its crops are cut from 64"):
        crop({"image": FitRadiograph(32)(image)})


def test_extreme_shapes_make_crops() -> None:
    for shape in ((1, 900), (700, 2), (1, 1)):
        item = MultiCropRadiographd(**SMALL).set_random_state(0)({"image": torch.ones(1, *shape)})
        assert item["image_local"].isfinite().all()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, 8, 8\]: load radiographs in gray"):
        MultiCropRadiographd()({"image": torch.zeros(3, 8, 8)})
    wrong: dict[str, Any]
    for wrong in (
        {"global_crops": 0},
        {"local_crops": -1},
        {"fit_size": 0},
        {"translate": 1.0},
        {"rotate": -1.0},
        {"affine_probability": 2.0},
        {"local_scale": (0.5, 1.5)},
    ):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values()))).split(",")[0].strip("()")):
            MultiCropRadiographd(**wrong)
    assert MultiCropRadiographD is MultiCropRadiographDict is MultiCropRadiographd
