# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from radbundles.transforms import FitRadiograph, RandMaskAugmentd

STILL: dict[str, Any] = {"jitter_probability": 0, "noise_probability": 0, "affine_probability": 0}


def disc(size: int = 128) -> dict[str, Any]:
    """An image that is its mask: a disc left of the middle, in the second of three classes."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    inside = ((rows - 0.45 * size) ** 2 + (columns - 0.35 * size) ** 2 < (0.2 * size) ** 2).to(torch.uint8)
    masks = torch.stack([torch.zeros_like(inside), inside, torch.zeros_like(inside)])
    return {"id": "x", "image": MetaTensor(inside[None].float()), "masks": MetaTensor(masks)}


def center(mask: torch.Tensor) -> torch.Tensor:
    return mask.nonzero().double().mean(0)


@pytest.mark.parametrize("seed", range(5))
def test_masks_move_with_the_image(seed: int) -> None:
    given = disc()
    moved = RandMaskAugmentd(**{**STILL, "affine_probability": 1, "flip": 0.5}).set_random_state(seed)(given)
    image, masks = moved["image"], moved["masks"]
    assert (masks.dtype, set(masks.unique().tolist())) == (torch.uint8, {0, 1})
    assert not masks[0].any() and not masks[2].any()
    shown = image[0] > 0.5
    inside = masks[1] > 0
    assert (shown & inside).sum() / (shown | inside).sum() > 0.98
    assert not torch.equal(inside, given["masks"][1] > 0)
    assert torch.equal(image[0], image[1])


def test_movement_stays_within_its_limits() -> None:
    given = disc()
    still = center(given["masks"][1].as_tensor())
    area = given["masks"][1].sum()
    shifts, areas = [], []
    augment = RandMaskAugmentd(**{**STILL, "affine_probability": 1}, translate=0.05, rotate=0, scale=0)
    grow = RandMaskAugmentd(**{**STILL, "affine_probability": 1}, translate=0, rotate=0, scale=0.1)
    for seed in range(20):
        shifts.append((center(augment.set_random_state(seed)(given)["masks"][1]) - still).abs() / 128)
        areas.append(float(grow.set_random_state(seed)(given)["masks"][1].sum() / area))
    greatest = torch.stack(shifts).max(0).values
    assert (greatest < 0.05 + 1 / 128).all() and (greatest > 0.03).all()
    assert 0.9**2 - 0.03 < min(areas) < 0.9 and 1.1 < max(areas) < 1 / 0.9**2 + 0.03


def test_what_enters_is_zero() -> None:
    given = {"image": torch.ones(1, 64, 64), "masks": torch.ones(1, 64, 64, dtype=torch.uint8)}
    augment = RandMaskAugmentd(**{**STILL, "affine_probability": 1}, translate=0.2, rotate=0, scale=0)
    moved = augment.set_random_state(1)(given)
    assert (moved["masks"][0] == 0).any()
    assert not moved["image"][0][(moved["masks"][0] == 0)].gt(0.51).any()
    assert moved["image"].min() == 0


def test_flip_is_off_by_default_and_mirrors_both() -> None:
    """Quirk Q34: a flip makes a left lung of a right one."""
    given = disc()
    assert all(
        torch.equal(RandMaskAugmentd(**STILL).set_random_state(s)(given)["image"][:1], given["image"].as_tensor())
        for s in range(10)
    )
    flipped = RandMaskAugmentd(**STILL, flip=1)(given)
    assert torch.equal(flipped["image"][0], given["image"][0].as_tensor().flip(-1))
    assert torch.equal(flipped["masks"], given["masks"].as_tensor().flip(-1))


def test_without_changes_the_image_is_repeated() -> None:
    given = disc()
    same = RandMaskAugmentd(**STILL)(given)
    assert torch.equal(same["image"], given["image"].as_tensor().expand(3, -1, -1))
    assert torch.equal(same["masks"], given["masks"].as_tensor())
    assert not isinstance(same["image"], MetaTensor) and not isinstance(same["masks"], MetaTensor)
    assert RandMaskAugmentd(**STILL, channels=1)(given)["image"].shape == (1, 128, 128)


def test_padding_stays_black_under_noise() -> None:
    image = FitRadiograph(64)(MetaTensor(torch.full((1, 80, 40), 0.5)))
    masks = torch.zeros(2, 64, 64, dtype=torch.uint8)
    noisy = RandMaskAugmentd(**{**STILL, "noise_probability": 1}).set_random_state(0)({"image": image, "masks": masks})
    assert not noisy["image"][:, :, :16].any() and not noisy["image"][:, :, 48:].any()
    assert (noisy["image"][0, :, 16:48] != noisy["image"][1, :, 16:48]).any()
    assert noisy["image"][:, :, 16:48].std() > 0.005


def test_tone_changes_the_image_alone() -> None:
    given = disc()
    toned = RandMaskAugmentd(**{**STILL, "jitter_probability": 1}).set_random_state(2)(given)
    assert not torch.equal(toned["image"][:1], given["image"].as_tensor())
    assert 0 <= toned["image"].min() and toned["image"].max() <= 1
    assert torch.equal(toned["masks"], given["masks"].as_tensor())


def test_the_state_decides_alone_and_the_input_stays() -> None:
    given = disc()
    before = given["image"].clone(), given["masks"].clone()
    augment = RandMaskAugmentd(flip=0.5, affine_probability=1, noise_probability=1, jitter_probability=1)
    torch.manual_seed(0)
    np.random.seed(0)
    first = augment.set_random_state(7)(given)
    torch.manual_seed(1)
    np.random.seed(1)
    second = augment.set_random_state(7)(given)
    third = augment.set_random_state(8)(given)
    assert torch.equal(first["image"], second["image"]) and torch.equal(first["masks"], second["masks"])
    assert not torch.equal(first["image"], third["image"])
    assert torch.equal(given["image"], before[0]) and torch.equal(given["masks"], before[1])


@pytest.mark.parametrize(
    "arguments",
    [{"flip": 1.5}, {"affine_probability": -1}, {"translate": 1}, {"scale": 1}, {"scale": -0.1}, {"rotate": 200}],
)
def test_wrong_arguments_are_named(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RandMaskAugmentd(**arguments)  # type: ignore[arg-type]


def test_inputs_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="fit both"):
        RandMaskAugmentd()({"image": torch.rand(1, 8, 8), "masks": torch.zeros(2, 9, 9, dtype=torch.uint8)})
    with pytest.raises(ValueError, match=r"must be \[1, H, W\] or, in color, \[3, H, W\].*got \[2, 8, 8\]"):
        RandMaskAugmentd(mask_key=None)({"image": torch.rand(2, 8, 8)})
    sample = {"image": torch.rand(1, 8, 8), "boxes": torch.zeros(2, 4), "box_classes": torch.zeros(1)}
    with pytest.raises(ValueError, match="must be .n, 4. and .n."):
        RandMaskAugmentd(mask_key=None, box_key="boxes")(sample)


BOXES = torch.tensor([[30.0, 20.0, 70.0, 110.0], [100.0, 4.0, 124.0, 28.0], [6.0, 60.0, 26.0, 64.0]])


def filled(boxes: torch.Tensor = BOXES, size: int = 128) -> dict[str, Any]:
    """An image whose brightness is that of boxes, each in a mask of its own too."""
    masks = torch.zeros(len(boxes), size, size, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = 1
    image = masks.amax(0)[None].float()
    return {"image": image, "masks": masks, "boxes": boxes, "box_classes": torch.arange(len(boxes))}


def hull(mask: torch.Tensor) -> torch.Tensor:
    """Box of what is bright."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rotate", [0, 20])
def test_boxes_move_with_image_and_masks(seed: int, rotate: float) -> None:
    """Shifts, rotations, sizes and flips: a box is that of the pixels that were inside."""
    augment = RandMaskAugmentd(
        **{**STILL, "affine_probability": 1}, rotate=rotate, translate=0.1, scale=0.2, flip=0.5, box_key="boxes"
    )
    given = filled()
    moved = augment.set_random_state(seed)(given)
    assert moved["boxes"].dtype == torch.float32 and moved["boxes"].shape == (len(moved["box_classes"]), 4)
    assert 0 in moved["box_classes"]
    for box, number in zip(moved["boxes"], moved["box_classes"].tolist(), strict=True):
        seen = hull(moved["masks"][number] > 0)
        if rotate and not (0 < box.min() and box.max() < 128):  # a corner that is cut off made the box larger
            assert (box[:2] <= seen[:2] + 1.01).all() and (box[2:] >= seen[2:] - 1.01).all()
        else:
            assert (box - seen).abs().max() <= 1.01
    shown = moved["image"][0] > 0.5
    assert (shown == (moved["masks"].amax(0) > 0)).float().mean() > 0.99
    assert torch.equal(given["boxes"], BOXES)


def test_boxes_mirror_exactly() -> None:
    """A flip alone keeps every number."""
    moved = RandMaskAugmentd(**STILL, flip=1, box_key="boxes")(filled())
    assert moved["boxes"].tolist()[0] == [58, 20, 98, 110] and moved["box_classes"].tolist() == [0, 1, 2]
    assert all(torch.equal(hull(mask > 0), box) for mask, box in zip(moved["masks"], moved["boxes"], strict=True))


def test_boxes_that_leave_the_square_are_dropped_with_their_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is cut to the square; less than min_visible is dropped."""
    augment = RandMaskAugmentd("image", None, **STILL, box_key="boxes")
    boxes = torch.tensor([[0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 28.0, 40.0], [60.0, 60.0, 80.0, 80.0]])
    sample = filled(boxes)
    # MONAI moves the grid: what was 20 pixels to the right is then at the left edge.
    monkeypatch.setattr(augment, "randomize", lambda data=None: setattr(augment, "movement", (0.0, 20 / 128, 0.0, 1.0)))
    moved = augment(sample)
    assert moved["boxes"].tolist() == [[0, 0, 20, 40], [0, 0, 8, 40], [40, 60, 60, 80]]
    augment.min_visible = 0.3
    moved = augment(sample)
    assert moved["boxes"].tolist() == [[0, 0, 20, 40], [40, 60, 60, 80]] and moved["box_classes"].tolist() == [0, 2]
    assert moved["masks"] is sample["masks"]


def test_images_without_boxes_and_masks() -> None:
    """No box is no fault, and for classification there is the image alone."""
    empty = {"image": torch.rand(1, 16, 16), "boxes": torch.zeros(0, 4), "box_classes": torch.zeros(0).long()}
    moved = RandMaskAugmentd(mask_key=None, box_key="boxes", affine_probability=1, flip=1)(empty)
    assert moved["boxes"].shape == (0, 4) and moved["box_classes"].shape == (0,)
    alone = RandMaskAugmentd(mask_key=None, affine_probability=1)({"image": torch.rand(1, 16, 16), "id": "x"})
    assert alone["image"].shape == (3, 16, 16) and alone["id"] == "x"


def test_color_is_changed_by_the_same_factors() -> None:
    """A gray picture of three channels is treated as one of one channel, and hues stay."""
    augment = RandMaskAugmentd(mask_key=None, jitter_probability=1, noise_probability=0, affine_probability=1, flip=0.5)
    gray = torch.rand(1, 32, 32)
    for seed in range(4):
        one, three = (
            augment.set_random_state(seed)({"image": image})["image"] for image in (gray, gray.repeat(3, 1, 1))
        )
        torch.testing.assert_close(one, three)
    color = torch.tensor([0.6, 0.3, 0.1])[:, None, None].expand(3, 32, 32)
    bright = RandMaskAugmentd(mask_key=None, **{**STILL, "jitter_probability": 1}, contrast=0)
    changed = bright.set_random_state(1)({"image": color})["image"]
    factors = changed / color
    assert factors.std() < 1e-6 and abs(float(factors.mean()) - 1) > 0.01
    noisy = RandMaskAugmentd(mask_key=None, **{**STILL, "noise_probability": 1})({"image": color})["image"]
    assert noisy.shape == (3, 32, 32) and (noisy - color).std() > 0.005
