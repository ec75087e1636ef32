# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""SIIM-ACR: masks of several rows, and official lists that leak."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data import build_datalist, load_datalist
from radbundles.transforms.load_mask import read_mask

SIDE = 1024
# Two masks of one image: the first pixel of the second column, and the third and fourth of the first.
FIRST, SECOND = f"{SIDE} 1", "2 2"


def expected() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[0, 1] = mask[2, 0] = mask[3, 0] = True
    return mask


@pytest.fixture
def folder(tmp_path: Path, write: Any, picture: Any) -> Path:
    root = tmp_path / "siim"
    # The table of the first stage has a blank in front of the second name and of its values.
    text = f"ImageId, EncodedPixels\n1.2.a, {FIRST}\n1.2.b, -1\n1.2.a, {SECOND}\n1.2.c,-1\n1.2.d, {SECOND}\n"
    write(root / "train-rle.csv", text)
    black = np.zeros((SIDE, SIDE), np.uint8)
    for name in "abc":
        picture(root / f"dicom-images-train/1.{name}/2.{name}/1.2.{name}.png", black)
    picture(root / "train/mask/1.2.d.png", black)  # masks are no images
    return root


def test_masks_of_an_image_are_united(folder: Path, read: Any) -> None:
    items, _ = read("siim-acr", folder)
    assert {name: item["labels"]["Pneumothorax"] for name, item in items.items()} == {
        "1.2.a": 1,
        "1.2.b": 0,
        "1.2.c": 0,
        "1.2.d": 1,
    }
    assert items["1.2.a"]["image"] == "dicom-images-train/1.a/2.a/1.2.a.png"
    assert (items["1.2.a"]["made"]["masks.Pneumothorax"]() == expected()).all()
    assert items["1.2.b"]["made"] == {} and "masks" not in items["1.2.b"]


def test_masks_are_written_beside_the_datalist(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists/deep/siim.json"
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("siim-acr", folder, out, fractions=(1, 0, 0), dataset_dir=tmp_path)
    assert report.faults == {"missing_image": 1} and report.sections["training"]["masks"] == 1
    (item,) = (item for item in load_datalist(out, "training", base_dir=tmp_path) if "masks" in item)
    path = item["masks"]["Pneumothorax"]
    assert Path(path).resolve() == (tmp_path / "lists/deep/masks/siim-acr/1.2.a.Pneumothorax.png").resolve()
    assert (read_mask(path, (SIDE, SIDE)) == expected()).all()
    assert json.loads(out.read_text())["training"][0]["image"].startswith("siim/")
    # An image that is left out leaves no mask.
    assert len(list((tmp_path / "lists").rglob("*.png"))) == 1


def test_masks_follow_smaller_copies_of_the_images(folder: Path, read: Any, picture: Any) -> None:
    runs = " ".join(["0 512"] + ["512 512"] * 511)  # upper left quarter
    (folder / "train-rle.csv").write_text(f"ImageId,EncodedPixels\n1.2.a,{runs}\n1.2.b,{runs}\n1.2.c,5 x\n")
    picture(folder / "dicom-images-train/1.a/2.a/1.2.a.png", np.zeros((256, 256), np.uint8))
    picture(folder / "dicom-images-train/1.b/2.b/1.2.b.png", np.zeros((256, 200), np.uint8))
    items, _ = read("siim-acr", folder)
    mask = items["1.2.a"]["made"]["masks.Pneumothorax"]()
    assert mask.shape == (256, 256) and mask[:128, :128].all() and mask.sum() == 128 * 128
    with pytest.raises(ValueError, match="200 x 256, but the masks were drawn on square images"):
        items["1.2.b"]["made"]["masks.Pneumothorax"]()
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("siim-acr", folder, folder / "out.json")
    assert report.faults == {"unreadable_mask": 2} and report.items == 1


def test_official_lists_by_row_leak_and_here_they_do_not(folder: Path, tmp_path: Path, read: Any, write: Any) -> None:
    lists = tmp_path / "lists"
    header = "ImageId,EncodedPixels\n"
    write(lists / "train_list.csv", f"{header}1.2.a,{FIRST}\n1.2.b,-1\n1.2.e,{SECOND}\n")
    write(lists / "val_list.csv", f"{header}1.2.a,{SECOND}\n1.2.e,{FIRST}\n")
    write(lists / "test_list.csv", f"{header}1.2.c,-1\n1.2.a,{FIRST}\n")
    rows = [line.split(",")[0] for path in lists.glob("*.csv") for line in path.read_text().splitlines()[1:]]
    assert Counter(rows)["1.2.a"] == 3  # the lists part rows, not images
    for table in (True, False):
        items, _ = read("siim-acr", folder, lists=lists)
        assert {name: item["split"] for name, item in items.items()} == {
            "1.2.a": "test",
            "1.2.c": "test",
            "1.2.e": "validation",
            "1.2.b": "training",
        }
        assert (items["1.2.a"]["made"]["masks.Pneumothorax"]() == expected()).all()  # whole, not a row of it
        assert table == (folder / "train-rle.csv").exists()
        (folder / "train-rle.csv").unlink(missing_ok=True)
    report = build_datalist("siim-acr", folder, tmp_path / "o.json", lists=lists)
    assert [report.sections[split]["items"] for split in ("training", "validation", "test")] == [1, 0, 2]


def test_without_lists_the_whole_set_is_parted_by_image(tmp_path: Path, write: Any, picture: Any) -> None:
    rows = [f"1.{number},{run}\n" for number in range(12) for run in (FIRST, SECOND)]
    write(tmp_path / "stage_2_train.csv", "ImageId,EncodedPixels\n" + "".join(rows))
    for number in range(12):
        picture(tmp_path / f"png/1.{number}.png")
    with pytest.warns(UserWarning, match="without a patient id"):
        report = build_datalist("siim-acr", tmp_path, tmp_path / "o.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert report.items == len({line["id"] for line in lines}) == len(lines) == 12
    assert np.asarray(Image.open(tmp_path / lines[0]["masks"]["Pneumothorax"])).shape == (4, 4)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path, read: Any) -> None:
    (tmp_path / "lists").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no test_list.csv or test.csv; give the folder of the three"):
        read("siim-acr", folder, lists=tmp_path / "lists")
    (folder / "train-rle.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no train-rle.csv or stage_2_train.csv; get it from .*kaggle"):
        read("siim-acr", folder)
