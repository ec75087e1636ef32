# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from radbundles.transforms import FitRadiographd, FittedFrame, LoadTargetsd, RadiographReadError


def place(*, masks: list[str] | None = None, boxes: list[list[float]] | None = None) -> dict[str, Any]:
    return {"masks": masks or [], "boxes": boxes or []}


def save(path: Path, shape: tuple[int, int], *inside: tuple[slice, slice]) -> str:
    mask = np.zeros(shape, np.uint8)
    for window in inside:
        mask[window] = 255
    Image.fromarray(mask).save(path)
    return str(path)


def load(targets: dict[str, Any], shape: tuple[int, int] = (20, 30), labels: list[int] | None = None) -> dict[str, Any]:
    names = ["Nodule", "Effusion", "Rib"]
    labels = [int(name in targets) for name in names] if labels is None else labels
    item = {"id": "x", "image": MetaTensor(torch.rand(1, *shape)), "targets": targets, "labels": labels}
    return LoadTargetsd(names)(item)


def test_classes_go_to_their_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", (20, 30), (slice(2, 5), slice(3, 9)))
    sample = load({"Effusion": place(masks=[path]), "Rib": place(boxes=[[1, 2, 4, 6]])}, labels=[-1, 1, 1])
    masks = sample["masks"]
    assert (masks.shape, masks.dtype) == ((3, 20, 30), torch.uint8)
    assert masks.sum((1, 2)).tolist() == [0, 18, 12]
    assert masks[1, 2:5, 3:9].all() and masks[2, 2:6, 1:4].all()
    assert (sample["labels"].tolist(), sample["labels"].dtype) == ([-1, 1, 1], torch.int64)
    assert "targets" not in sample


def test_masks_and_boxes_of_a_class_are_united(tmp_path: Path) -> None:
    """Quirk Q32: several instances of a class overwrite each other in the official target."""
    paths = [save(tmp_path / f"{row}.png", (20, 30), (slice(row, row + 2), slice(0, 4))) for row in (0, 10)]
    sample = load({"Nodule": place(masks=paths, boxes=[[10, 1, 12, 3], [11, 2, 13, 4]])})
    expected = torch.zeros(20, 30, dtype=torch.uint8)
    expected[0:2, 0:4] = expected[10:12, 0:4] = expected[1:3, 10:12] = expected[2:4, 11:13] = 1
    assert torch.equal(sample["masks"][0].as_tensor(), expected)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([1, 2, 4, 6], (2, 6), (1, 4)),
        ([1.9, 2.9, 4.1, 6.1], (2, 7), (1, 5)),
        ([5, 5, 5, 5], (5, 6), (5, 6)),
        ([5.5, 5.5, 5.5, 5.5], (5, 6), (5, 6)),
        ([-3, -2, 2, 2], (0, 2), (0, 2)),
        ([-3, 18.5, 99, 40], (18, 20), (0, 30)),
        ([0, 0, 0, 0], (0, 1), (0, 1)),
        ([29.2, 19.2, 30, 20], (19, 20), (29, 30)),
    ],
)
def test_boxes_cover_what_they_touch(box: list[float], rows: tuple[int, int], columns: tuple[int, int]) -> None:
    mask = load({"Nodule": place(boxes=[box])})["masks"][0]
    expected = torch.zeros(20, 30, dtype=torch.uint8)
    expected[slice(*rows), slice(*columns)] = 1
    assert torch.equal(mask.as_tensor(), expected)


def test_an_empty_mask_makes_its_class_absent(tmp_path: Path) -> None:
    empty = save(tmp_path / "empty.png", (20, 30))
    sample = load({"Nodule": place(masks=[empty])}, labels=[1, -1, 0])
    assert sample["labels"].tolist() == [0, -1, 0]
    assert not sample["masks"].any()


def test_an_image_without_targets_has_empty_masks() -> None:
    sample = load({}, labels=[0, -1, 0])
    assert sample["masks"].shape == (3, 20, 30) and not sample["masks"].any()
    assert sample["labels"].tolist() == [0, -1, 0]


@pytest.mark.parametrize("shape", [(61, 97), (97, 61), (40, 40), (9, 11)])
def test_fitting_first_gives_the_same_as_fitting_afterwards(shape: tuple[int, int], tmp_path: Path) -> None:
    height, width = shape
    path = save(tmp_path / "m.png", shape, (slice(height // 4, height // 2), slice(width // 3, width - 2)))
    targets = {"Nodule": place(masks=[path]), "Rib": place(boxes=[[0, 0, width / 2 + 0.3, height / 2 + 0.6]])}
    item = {"image": MetaTensor(torch.rand(1, *shape)), "targets": targets, "labels": [1, 0, 1]}
    draw = LoadTargetsd(["Nodule", "Effusion", "Rib"])
    lean = draw(FitRadiographd("image", size=32)(item))
    whole = FitRadiographd("image", size=32, mask_keys="masks")(draw(item))
    assert lean["masks"].any((1, 2)).tolist() == [True, False, True]
    assert torch.equal(lean["masks"].as_tensor(), whole["masks"].as_tensor())
    assert lean["masks"].dtype == whole["masks"].dtype == torch.uint8
    assert FittedFrame.of(lean["masks"]) == FittedFrame.of(whole["masks"]) == FittedFrame(height, width, 32)


def test_what_the_fit_would_lose_keeps_a_pixel_in_its_place(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", (300, 200), (slice(250, 251), slice(30, 31)))
    item = {
        "image": MetaTensor(torch.rand(1, 300, 200)),
        "targets": {"Nodule": place(masks=[path]), "Rib": place(boxes=[[199, 299, 200, 300]])},
        "labels": [1, 0, 1],
    }
    fitted = FitRadiographd("image", size=30)(item)
    sample = LoadTargetsd(["Nodule", "Effusion", "Rib"])(fitted)
    frame = FittedFrame(300, 200, 30)
    assert sample["masks"].sum((1, 2)).tolist() == [1, 0, 1]
    assert sample["masks"][0, 25, frame.left + 3] == 1
    assert sample["masks"][2, 29, frame.left + frame.columns - 1] == 1


def test_masks_of_another_size_are_refused_though_the_image_is_fitted(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", (30, 30))
    item = {
        "id": "x-1",
        "image": MetaTensor(torch.rand(1, 60, 60)),
        "targets": {"Nodule": place(masks=[path])},
        "labels": [1],
    }
    with pytest.raises(RadiographReadError, match=r"'x-1', class 'Nodule': .*30 x 30 pixels.* has 60 x 60"):
        LoadTargetsd(["Nodule"])(FitRadiographd("image", size=30)(item))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([5, 1, 4, 2], "inverted"),
        ([1, 5, 2, 4], "inverted"),
        ([float("nan"), 0, 1, 1], "inverted"),
        ([30, 0, 31, 1], "outside"),
        ([0, 20, 1, 21], "outside"),
        ([-4, 0, -1, 2], "outside"),
        ([-4, 0, 0, 2], "outside"),
        ([0, -4, 2, 0], "outside"),
    ],
)
def test_boxes_that_cannot_be_drawn_are_named(box: list[float], message: str) -> None:
    with pytest.raises(RadiographReadError, match=rf"item 'x', class 'Nodule': the box .*{message}"):
        load({"Nodule": place(boxes=[[0, 0, 1, 1], box])})


def test_wrong_arguments_are_named() -> None:
    for classes in ("Nodule", [], ["a", "a"]):
        with pytest.raises(ValueError, match="list of different names"):
            LoadTargetsd(classes)
    with pytest.raises(ValueError, match=r"3 classes, but 'labels' has the shape \[2\]"):
        load({}, labels=[0, 1])
