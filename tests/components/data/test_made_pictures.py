# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an item are written whole, under names of their own, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data.made_pictures import MadePicturesError, place_pictures, write_pictures


def of(pixels: Any) -> Any:
    return lambda: np.asarray(pixels)


def test_paths_and_pixels(tmp_path: Path) -> None:
    made = {"image": of(np.full((2, 3, 3), 7, np.uint8)), "masks": {"left lung": of([[True, False]])}}
    item: dict[str, Any] = {"id": "a/b", "masks": {"heart": "h.png"}, "made": made}
    placed = place_pictures(item, "riga")
    assert "made" not in item and set(item["masks"]) == {"heart", "left lung"}
    assert set(placed) == {item["image"], item["masks"]["left lung"]}
    write_pictures(placed, tmp_path)
    assert np.asarray(Image.open(tmp_path / item["image"])).tolist() == [[[7, 7, 7]] * 3] * 2
    assert np.asarray(Image.open(tmp_path / item["masks"]["left lung"])).tolist() == [[255, 0]]
    assert item["image"].startswith("images/riga/") and item["masks"]["left lung"].startswith("masks/riga/")


def test_names_that_a_file_system_does_not_take_stay_different() -> None:
    ids = ("a/b", "a\\b", "a_b", "../b", "ä", "ö")
    paths = {place_pictures({"id": name, "made": {"image": of([[0]])}}, "x").popitem()[0] for name in ids}
    assert len(paths) == len(ids) and all(Path(path).parent == Path("images/x") for path in paths)


def test_an_item_without_them_is_left_as_it_is() -> None:
    item = {"id": "a", "image": "a.png"}
    assert place_pictures(item, "x") == {} and item == {"id": "a", "image": "a.png"}


def test_nothing_is_written_when_one_cannot_be_made(tmp_path: Path) -> None:
    def damaged() -> Any:
        raise ValueError("the run lengths end too early")

    def missing() -> Any:
        return np.asarray(Image.open(tmp_path / "no.tif"))

    for make, code in ((damaged, "unreadable_mask"), (missing, "missing_mask")):
        item = {"id": "a", "made": {"image": of([[0]]), "masks": {"m": make}}}
        with pytest.raises(MadePicturesError) as caught:
            write_pictures(place_pictures(item, "x"), tmp_path)
        assert (caught.value.field, caught.value.code) == ("masks.m", code)
    assert list(tmp_path.iterdir()) == []
