# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from radbundles.components.inference import WriteBoxes
from radbundles.components.inference.panel_sheet import BOX
from radbundles.components.inference.write_boxes import COLORS
from radbundles.networks.select_boxes import select_boxes

MODEL = {"name": "known", "version": "1.2.3"}
CLASSES = ["bright", "padding"]
Run = Callable[..., list[dict[str, Any]]]
Points = Callable[..., dict[str, Any]]
Quadrants = dict[str, tuple[tuple[int, int], tuple[int, int, int, int]]]


class BrightBox(nn.Module):
    """Three boxes an image: around what is bright (score 0.8), the same again (0.6), and the upper left corner."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = []
        for one in image[:, 0] > 0:
            down, across = one.any(1).nonzero(), one.any(0).nonzero()
            box = [across.min(), down.min(), across.max() + 1, down.max() + 1]
            corner = [0, 0, 4, 4]
            rows.append([[*box, 0.8, 0.0], [*box, 0.6, 0.0], [*corner, 0.0, 0.9]])
        return torch.tensor(rows)

    def detect(self, pred: torch.Tensor, **options: Any) -> Any:
        return select_boxes(pred, 128, **options)


def writer(folder: Path, points: dict[str, Any] | None = None, **options: Any) -> tuple[BrightBox, WriteBoxes]:
    network = BrightBox()
    return network, WriteBoxes(folder, classes=CLASSES, points=points, model=MODEL, network=network, **options)


def test_boxes_lie_where_they_are_in_each_image(run: Run, quadrants: Quadrants, tmp_path: Path) -> None:
    written = run(*writer(tmp_path))
    assert len(written) == 3
    rows = []
    for record in written:
        (width, height), quadrant = quadrants[record["image"]]
        bright, padding = record["classes"]
        [found] = bright["boxes"]  # the second is suppressed
        assert np.abs(np.subtract(found["box"], quadrant)).max() <= max(width, height) / 128
        assert found["probability"] == pytest.approx(0.8, abs=1e-6)
        # In an image that fills the square the corner is no padding.
        assert len(padding["boxes"]) == (record["image"] == "sub/wide.png")
        rows += [(one["name"], box["box"]) for one in record["classes"] for box in one["boxes"]]
    with (tmp_path / "boxes.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["class"], [float(line[key]) for key in ("x0", "y0", "x1", "y1")]) for line in lines] == rows
    assert lines[0]["image"] == "sub/wide.png"


def test_the_threshold_is_of_calibrated_scores(run: Run, points: Points, tmp_path: Path) -> None:
    # A score of 0.8 has a logit of ln 4: at a temperature of 2, a probability of 2 / 3.
    for threshold, count in ((0.66, 1), (0.67, 0)):
        chosen = points("detection", {"bright": threshold, "padding": 0.95}, {"bright": 2.0, "padding": None})
        written = run(*writer(tmp_path / str(threshold), chosen))
        for record in written:
            assert [len(one["boxes"]) for one in record["classes"]] == [count, 0]
            if count:
                assert record["classes"][0]["boxes"][0]["probability"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_lower_threshold_of_the_user_reaches_boxes_that_the_detector_would_drop(run: Run, tmp_path: Path) -> None:
    network, strict = writer(tmp_path, score_threshold=0.85)
    assert not any(record["classes"][0]["boxes"] for record in run(network, strict))
    strict.use_threshold(0.7)
    assert all(len(record["classes"][0]["boxes"]) == 1 for record in run(network, strict))


def test_the_picture_has_the_boxes_in_the_colors_of_their_classes(run: Run, tmp_path: Path) -> None:
    run(*writer(tmp_path))
    with Image.open(next(tmp_path.glob("sub_*.png"))) as picture:
        pixels = np.asarray(picture).astype(int)
    head = pixels.shape[0] - 320
    drawn = np.argwhere(np.abs(pixels - np.array(BOX)).sum(axis=2) < 30) - [head, 0]
    assert drawn.min() / 320 == pytest.approx(0.5, abs=0.02) and drawn[:, 1].max() / 320 == pytest.approx(1, abs=0.02)
    corner = np.argwhere(np.abs(pixels - np.array(COLORS[1])).sum(axis=2) < 30) - [head, 0]
    assert len(corner) and corner.min() == 0 and len(set(COLORS)) == len(COLORS)


def test_a_photograph_keeps_its_colors_under_the_boxes(run: Run, tmp_path: Path) -> None:
    pixels = np.zeros((400, 400, 3), dtype=np.uint8)
    pixels[200:, 200:] = (255, 60, 0)
    (tmp_path / "eyes").mkdir()
    Image.fromarray(pixels).save(tmp_path / "eyes" / "eye.png")
    [record] = run(*writer(tmp_path / "out"), color="rgb", source=tmp_path / "eyes")
    [found] = record["classes"][0]["boxes"]
    assert np.abs(np.subtract(found["box"], (200, 200, 400, 400))).max() <= 400 / 128
    with Image.open(tmp_path / "out" / "eye.png.png") as picture:
        np.testing.assert_allclose(np.asarray(picture)[-40, -40], (255, 60, 0), atol=3)


def test_a_network_that_gives_no_numbers_is_no_network_that_finds_nothing(run: Run, tmp_path: Path) -> None:
    network, one = writer(tmp_path)
    network.forward = lambda image: torch.full((len(image), 3, 6), float("nan"))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="not one box of the network's answer has finite numbers"):
        run(network, one)
