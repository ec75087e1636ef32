# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tests of items for segmentation."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data import load_segmentation_items, write_datalist
from radbundles.transforms import LoadRadiographd, LoadTargetsd


def _write(folder: Path, items: list[dict[str, Any]], split: str = "training") -> Path:
    path = folder / "d.json"
    common = {"patient": "p", "source": "site a"}
    rows = [(split, {"id": str(n), "image": f"{n}.png", **common, **item}) for n, item in enumerate(items)]
    write_datalist(path, rows)
    return path


def test_targets_and_labels_of_each_class(tmp_path: Path) -> None:
    """Masks become targets with joined paths, labels say what is absent or unknown, other fields stay."""
    items: list[dict[str, Any]] = [
        {"masks": {"disc": "m0.png", "cup": "m1.png"}, "labels": {"glaucoma": 1}},
        {"masks": {"disc": "m2.png"}, "labels": {"cup": 1}},
        {"labels": {"disc": 0}},
        {"labels": {"disc": -1, "cup": -1}},
    ]
    found = load_segmentation_items(_write(tmp_path, items), "training", ["cup", "disc"])
    assert found.labels.tolist() == [[1, 1], [-1, 1], [0, 0]]
    assert found[0]["targets"] == {
        "cup": {"masks": [str(tmp_path / "m1.png")], "boxes": []},
        "disc": {"masks": [str(tmp_path / "m0.png")], "boxes": []},
    }
    assert found[0]["source"] == "site a" and found[0]["patient"] == "p" and "masks" not in found[0]
    assert found.left_out == {"nothing is known": 1}
    assert pickle.loads(pickle.dumps(found))[1] == found[1]
    unknown = load_segmentation_items(tmp_path / "d.json", "training", ["cup", "disc"], missing="unknown")
    assert unknown.labels.tolist() == [[1, 1], [-1, 1], [-1, 0]]


def test_boxes_become_masks_if_wanted(tmp_path: Path) -> None:
    """A box alone leaves a class unknown, unless boxes are taken."""
    items: list[dict[str, Any]] = [{"boxes": {"n": [[1, 2, 3, 4]]}}, {"masks": {"N": "m.png"}}]
    path = _write(tmp_path, items)
    assert load_segmentation_items(path, "training", ["n"], names={"N": "n"}).labels.tolist() == [[1]]
    found = load_segmentation_items(path, "training", ["n"], boxes=True, names={"N": "n"})
    assert found.labels.tolist() == [[1], [1]] and found[0]["targets"]["n"]["boxes"] == [[1, 2, 3, 4]]


def test_targets_can_be_drawn(tmp_path: Path) -> None:
    """What is loaded is what LoadTargetsd draws on the image."""
    inside = np.zeros((8, 6), np.uint8)
    inside[2:5, 1:3] = 255
    Image.fromarray(inside).save(tmp_path / "m.png")
    Image.new("L", (6, 8)).save(tmp_path / "0.png")
    found = load_segmentation_items(_write(tmp_path, [{"masks": {"lung": "m.png"}}]), "training", ["lung"])
    sample = LoadTargetsd(["lung"])(LoadRadiographd("image")(found[0]))
    assert np.array_equal(sample["masks"][0].numpy(), inside // 255) and sample["labels"].tolist() == [1]


def test_class_without_masks_is_refused_in_training(tmp_path: Path) -> None:
    """The error names the class and what the datalist has; other sections may lack it."""
    path = _write(tmp_path, [{"masks": {"disc": "m.png"}}])
    with pytest.raises(ValueError, match=r"no image has a mask of \['cup'\]"):
        load_segmentation_items(path, "training", ["disc", "cup"])
    with pytest.raises(ValueError, match=r"nothing is known of \['cup'\].*other masks of 'disc' \(1 images\)"):
        load_segmentation_items(path, "training", ["cup"], missing="unknown")
    path = _write(tmp_path, [{"masks": {"disc": "m.png"}}], split="test")
    assert load_segmentation_items(path, "test", ["disc", "cup"]).labels.tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="is for training"):
        load_segmentation_items(path, "test", ["disc"], fraction=0.1)
