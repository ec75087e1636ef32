# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from radbundles.transforms import (
    RandRadiographCrop,
    RandRadiographCropD,
    RandRadiographCropd,
    RandRadiographCropDict,
    ResizeRadiograph,
)

IMAGE = torch.from_numpy(np.random.RandomState(0).rand(1, 60, 80).astype(np.float32))


def crop(**arguments: Any) -> RandRadiographCropd:
    return RandRadiographCropd("image", size=32, **arguments)


def draws(transform: RandRadiographCrop, shape: tuple[int, int], count: int = 2000) -> np.ndarray:
    transform.set_random_state(0)
    boxes = []
    for _ in range(count):
        transform.randomize(shape)
        boxes.append((*transform.box, transform.flipped))
    return np.array(boxes)


def test_parts_have_the_area_and_aspect_asked_for() -> None:
    top, left, height, width, flipped = draws(RandRadiographCrop(32), (500, 500)).T
    assert top.min() == left.min() == 0
    assert (top + height).max() == (left + width).max() == 500
    area = height * width / 250_000
    assert 0.19 < area.min() < 0.23
    assert 0.9 < area.max() <= 1
    aspect = width / height
    assert 0.74 < aspect.min() < 0.78
    assert 1.29 < aspect.max() < 1.35
    assert abs(np.log(aspect).mean()) < 0.02  # as often tall as wide
    assert abs(flipped.mean() - 0.5) < 0.04


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((30, 900), (0, 430, 30, 40)), ((900, 30), (430, 0, 40, 30))],
)
def test_central_part_is_taken_when_none_fits(shape: tuple[int, int], expected: tuple[int, ...]) -> None:
    boxes = draws(RandRadiographCrop(32, scale=(1.0, 1.0)), shape, count=20)[:, :4]
    assert (boxes == expected).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2)])
def test_tiny_images_have_parts(shape: tuple[int, int]) -> None:
    for top, left, height, width, _ in draws(RandRadiographCrop(32), shape, count=50):
        assert 0 < height <= shape[0] - top
        assert 0 < width <= shape[1] - left


def test_whole_image_without_flip_is_the_plain_resize() -> None:
    transform = RandRadiographCrop(32, scale=(1, 1), ratio=(80 / 60, 80 / 60), flip=0)
    assert torch.equal(transform(IMAGE), ResizeRadiograph(32)(IMAGE))
    transform.flip = 1.0
    assert torch.equal(transform(IMAGE), ResizeRadiograph(32)(IMAGE).flip(-1))


def test_draws_depend_on_the_seed_alone() -> None:
    item = {"image": IMAGE, "window": [0, 2]}
    first, second = crop().set_random_state(7), crop().set_random_state(7)
    for disturbance in range(5):
        np.random.seed(disturbance)
        torch.manual_seed(disturbance)
        one, other = first(item), second(item)
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["window"], other["window"])
    assert not torch.equal(crop().set_random_state(8)(item)["image"], crop().set_random_state(7)(item)["image"])


def test_global_generators_are_left_alone() -> None:
    transform = crop().set_random_state(0)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]
    transform({"image": IMAGE})
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_compose_seeds_it() -> None:
    pipelines = [Compose([crop()]).set_random_state(3) for _ in range(2)]
    assert torch.equal(pipelines[0]({"image": IMAGE})["image"], pipelines[1]({"image": IMAGE})["image"])


@pytest.mark.parametrize("window", [[0, 0], [2, 1], [1, 2]])
def test_window_moves_with_the_content(window: list[int]) -> None:
    # Channel 1 is 1 inside the window: after the crop it must be 1 inside the moved window and 0 outside.
    cell = 10
    side = 14 * cell
    inside = torch.zeros(1, side, side)
    row, column = (cell * one for one in window)
    inside[:, row : row + 12 * cell, column : column + 12 * cell] = 1.0
    transform = RandRadiographCropd("image", size=64).set_random_state(1)
    flips = set()
    for _ in range(40):
        cropped = transform({"image": inside, "window": window})
        flips.add(transform.crop.flipped)
        edges = torch.arange(64) + 0.5
        y0, x0, y1, x1 = (cropped["window"] * 64).tolist()
        near = [(edges - edge).abs() < 3 for edge in (y0, y1, x0, x1)]
        rows, columns = (edges > y0) & (edges < y1), (edges > x0) & (edges < x1)
        expected = (rows[:, None] & columns).float()
        sure = ~(near[0] | near[1])[:, None] & ~(near[2] | near[3])
        assert (cropped["image"][0] - expected)[sure].abs().max() < 0.01
        assert sure.float().mean() > 0.5
    assert flips == {True, False}


def test_official_window_stays_where_it_was() -> None:
    transform = crop(move_window=False).set_random_state(0)
    for _ in range(5):
        assert transform({"image": IMAGE, "window": [0, 2]})["window"].tolist() == pytest.approx(
            [0, 2 / 14, 12 / 14, 1]
        )


def test_missing_window_is_the_one_in_the_middle() -> None:
    transform = crop(scale=(1, 1), ratio=(80 / 60, 80 / 60), flip=0)
    assert transform({"image": IMAGE})["window"].tolist() == pytest.approx([1 / 14, 1 / 14, 13 / 14, 13 / 14])
    assert "window" not in crop(window_key=None)({"image": IMAGE})


def test_window_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0 to 2, got \[5, 0\]"):
        crop()({"image": IMAGE, "window": [5, 0]})


def test_several_images_share_one_part() -> None:
    transform = RandRadiographCropd(["image", "other"], size=32).set_random_state(0)
    cropped = transform({"image": IMAGE, "other": IMAGE.repeat(2, 1, 1)})
    assert torch.equal(cropped["other"][1:], cropped["image"])
    with pytest.raises(ValueError, match="'other' is 30 x 80, but the first key is 60 x 80"):
        transform({"image": IMAGE, "other": IMAGE[:, :30]})


def test_metatensor_keeps_its_meta_and_gains_the_part() -> None:
    image = MetaTensor(IMAGE, meta={"filename_or_obj": "a.png", "original_size": (60, 80)})
    transform = crop().set_random_state(0)
    cropped = transform({"image": image})["image"]
    assert isinstance(cropped, MetaTensor)
    assert cropped.meta["filename_or_obj"] == "a.png"
    assert cropped.meta["original_size"] == (60, 80)
    assert cropped.meta["crop"] == transform.crop.box
    assert cropped.meta["flipped"] == transform.crop.flipped
    assert "crop" not in image.meta
    assert RandRadiographCropD is RandRadiographCropDict is RandRadiographCropd


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"size": 0}, "size"),
        ({"size": 8, "scale": (0.0, 1.0)}, "scale"),
        ({"size": 8, "scale": (0.5, 1.5)}, "scale"),
        ({"size": 8, "ratio": (2.0, 1.0)}, "ratio"),
        ({"size": 8, "flip": 1.5}, "1.5"),
    ],
)
def test_wrong_arguments_are_refused_up_front(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        RandRadiographCrop(**arguments)
    with pytest.raises(ValueError, match=match):
        RandRadiographCropd("image", **arguments)
