# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from radbundles.transforms import LoadMaskD, LoadMaskd, LoadMaskDict, LoadRadiographd, RadiographReadError

INSIDE = np.random.RandomState(0).rand(4, 5) > 0.5


def load(masks: dict[str, Path], classes: list[str] | None = None, **options: Any) -> torch.Tensor:
    item = {"image": MetaTensor(torch.zeros(1, 4, 5), affine=torch.diag(torch.tensor([2.0, 3, 1, 1]))), "masks": masks}
    return LoadMaskd("masks", classes=classes or ["lung"], **options)(item)["masks"]


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_channels_follow_the_order_of_classes(tmp_path: Path) -> None:
    lung = save(tmp_path / "lung.png", Image.fromarray(INSIDE))
    heart = save(tmp_path / "heart.png", Image.fromarray((~INSIDE * 3).astype(np.uint8)))
    masks = load({"lung": lung, "heart": heart, "unused": tmp_path / "absent.png"}, ["heart", "lung"])
    assert masks.dtype == torch.uint8
    np.testing.assert_array_equal(masks.numpy(), np.stack([~INSIDE, INSIDE]))
    assert isinstance(masks, MetaTensor)
    assert torch.diag(masks.affine).tolist() == [2, 3, 1, 1]
    assert LoadMaskD is LoadMaskDict is LoadMaskd


def test_inside_is_what_is_not_black_in_every_kind_of_file(tmp_path: Path) -> None:
    faint = (INSIDE * 1).astype(np.uint8)
    palette = Image.fromarray((~INSIDE).astype(np.uint8)).convert("P")  # 0 is white here
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.paste(Image.fromarray((~INSIDE).astype(np.uint8)), (0, 0))
    alpha = np.dstack([np.full((4, 5), 200, np.uint8)] * 3 + [INSIDE.astype(np.uint8) * 255])
    nib.save(nib.Nifti1Image(faint.T, np.eye(4)), tmp_path / "mask.nii.gz")
    files = [
        save(tmp_path / "one.png", Image.fromarray(INSIDE)),
        save(tmp_path / "faint.png", Image.fromarray(faint)),
        save(tmp_path / "deep.png", Image.fromarray(faint.astype(np.uint16))),
        save(tmp_path / "color.png", Image.fromarray(np.dstack([0 * faint, faint, 0 * faint]))),
        save(tmp_path / "palette.png", palette),
        save(tmp_path / "alpha.png", Image.fromarray(alpha)),
        tmp_path / "mask.nii.gz",
    ]
    for path in files:
        np.testing.assert_array_equal(load({"lung": path})[0].numpy(), INSIDE, err_msg=path.name)


def test_missing_class_is_empty_or_an_error(tmp_path: Path) -> None:
    assert load({}).sum() == 0
    with pytest.raises(RadiographReadError, match="key 'masks', class 'lung': the item has no mask"):
        load({}, missing="error")


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", Image.fromarray(INSIDE.T.copy()))
    with pytest.raises(RadiographReadError, match=r"mask\.png: 5 x 4 pixels .* the image has 4 x 5"):
        load({"lung": path})


def test_lossy_mask_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.jpg", Image.fromarray(INSIDE).convert("L"))
    with pytest.raises(RadiographReadError, match=r"mask\.jpg: a JPEG mask, .* Save it as PNG"):
        load({"lung": path})


def test_missing_file_names_key_class_and_path(tmp_path: Path) -> None:
    with pytest.raises(RadiographReadError, match=r"key 'masks', class 'lung': .*nowhere\.png: no such file"):
        load({"lung": tmp_path / "nowhere.png"})


@pytest.mark.parametrize("classes", ["lung", [], ["lung", "lung"]])
def test_classes_must_be_different_names(classes: Any) -> None:
    with pytest.raises(ValueError, match="classes"):
        LoadMaskd("masks", classes=classes)


def test_missing_must_be_a_known_word() -> None:
    with pytest.raises(ValueError, match="'ignore'"):
        LoadMaskd("masks", classes=["lung"], missing="ignore")


def test_real_masks_lie_on_their_image(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "manifest.jsonl").read_text().splitlines()]
    row = next(row for row in rows if row["source"] == "montgomery")
    classes = sorted(row["masks"])
    item = {"image": shared_data / row["image"]}
    item["masks"] = {name: shared_data / path for name, path in row["masks"].items()}
    loaded = LoadMaskd("masks", classes=classes)(LoadRadiographd("image")(item))
    for channel, name in zip(loaded["masks"], classes, strict=True):
        expected = np.asarray(Image.open(item["masks"][name])).astype(bool)
        np.testing.assert_array_equal(channel.numpy(), expected)
        assert 0.05 < expected.mean() < 0.6
