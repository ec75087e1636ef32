# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from radbundles.components.inference import WriteSegmentations
from radbundles.components.inference.panel_sheet import BOX
from radbundles.components.phantom import write_phantoms

MODEL = {"name": "known", "version": "1.2.3"}
Run = Callable[..., list[dict[str, Any]]]
Points = Callable[..., dict[str, Any]]
Quadrants = dict[str, tuple[tuple[int, int], tuple[int, int, int, int]]]


class Brightness(nn.Module):
    """Logits of two classes: what is bright, and nothing anywhere."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.stack([8 * image[:, 0], torch.full_like(image[:, 0], -4)], dim=1)


def writer(folder: Path, points: dict[str, Any] | None = None, **options: Any) -> WriteSegmentations:
    return WriteSegmentations(folder, classes=["bright", "no thing"], points=points, model=MODEL, **options)


def test_masks_areas_and_outlines_lie_where_they_are(run: Run, quadrants: Quadrants, tmp_path: Path) -> None:
    written = run(Brightness(), writer(tmp_path))
    assert len(written) == 3
    for record in written:
        (width, height), (x0, y0, x1, y1) = quadrants[record["image"]]
        bright, nothing = record["classes"]
        pixel = max(width, height) / 128  # of the square that the network saw
        with Image.open(tmp_path / bright["mask"]) as picture:
            assert picture.mode == "L" and picture.size == (width, height)
            mask = np.asarray(picture) > 0
        inside = np.zeros((height, width), dtype=bool)
        inside[y0:y1, x0:x1] = True
        assert (mask != inside).sum() <= 2 * pixel * (x1 - x0 + y1 - y0)
        assert bright["area"] == mask.sum() and bright["share"] == pytest.approx(mask.mean(), abs=1e-6)
        assert "area_mm2" not in bright, "a PNG tells no spacing"
        [polygon] = bright["polygons"]
        extent = [*np.min(polygon["exterior"], axis=0), *np.max(polygon["exterior"], axis=0)]
        assert np.abs(np.subtract(extent, (x0, y0, x1, y1))).max() <= 1.5 * pixel
        assert bright["peak"] > 0.99 and nothing["peak"] == pytest.approx(1 / (1 + math.exp(4)), abs=1e-5)
        assert (nothing["area"], nothing["polygons"]) == (0, []) and nothing["mask"].endswith(".masks/no_thing.png")
    with (tmp_path / "areas.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["image"], row["class"], row["pixels"], row["mm2"]) for row in rows] == [
        (record["image"], one["name"], str(one["area"]), "") for record in written for one in record["classes"]
    ]


def test_the_threshold_is_of_calibrated_pixels(run: Run, points: Points, tmp_path: Path) -> None:
    # The logit of the dark part is 8 * (25 / 255 * 2 - 1) = -6.43: at temperature 4, a probability of 0.167.
    areas = {}
    for threshold in (0.16, 0.18):
        chosen = points("segmentation", {"bright": threshold, "no thing": None}, {"bright": 4.0, "no thing": None})
        written = run(Brightness(), writer(tmp_path / str(threshold), chosen))
        record = next(one for one in written if one["image"] == "wide.png")
        areas[threshold] = record["classes"][0]["share"]
        assert record["classes"][0]["calibrated"] and not record["classes"][1]["calibrated"]
    assert areas[0.16] > 0.98 and areas[0.18] < 0.3  # but for the border, where padding shines through
    over = writer(tmp_path / "user", chosen)
    over.use_threshold(0.16)
    record = next(one for one in run(Brightness(), over) if one["image"] == "wide.png")
    assert record["classes"][0]["share"] == areas[0.16] and record["classes"][0]["threshold_from"] == "user"


def test_the_picture_has_a_panel_a_class_and_the_outline(run: Run, tmp_path: Path) -> None:
    run(Brightness(), writer(tmp_path))
    with Image.open(tmp_path / "wide.png.png") as picture:
        pixels = np.asarray(picture).astype(int)
    assert picture.mode == "RGB" and pixels.shape[1] > 2 * 300
    drawn = np.argwhere(np.abs(pixels - np.array(BOX)).sum(axis=2) < 30)
    half = pixels.shape[1] / 2
    assert len(drawn) and drawn[:, 1].max() < half, "the class without a mask has no outline"
    assert drawn[:, 1].max() / half == pytest.approx(0.5, abs=0.1)


def test_a_film_with_spacing_has_its_area_in_square_millimeters_and_a_nifti(run: Run, tmp_path: Path) -> None:
    made = write_phantoms(tmp_path / "made", count=2, seed=1, size=128).parent / "images"
    (tmp_path / "film").mkdir()
    next(made.glob("*.dcm")).rename(tmp_path / "film" / "film.dcm")
    [record] = run(Brightness(), writer(tmp_path / "out", nifti=True), source=tmp_path / "film")
    bright = record["classes"][0]
    loaded: Any = nibabel.load(tmp_path / "out" / bright["nifti"])
    with Image.open(tmp_path / "out" / bright["mask"]) as picture:
        np.testing.assert_array_equal(np.asarray(loaded.dataobj)[..., 0].T * 255, np.asarray(picture))
    across, down = -np.diag(loaded.affine)[:2]
    assert across != 1 and 0 < bright["area"] < 128 * 128
    assert bright["area_mm2"] == pytest.approx(bright["area"] * across * down, rel=1e-4)


def test_a_logit_that_is_no_number_is_named(tmp_path: Path) -> None:
    one = writer(tmp_path)
    with pytest.raises(ValueError, match="film.png: the network's answer"):
        one.write("film.png", torch.full((2, 4, 4), math.nan), meta={}, preview=np.zeros((4, 4), dtype=np.uint8))
