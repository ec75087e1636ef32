# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.data import Dataset
from monai.transforms import Compose, SelectItemsd
from PIL import Image

from radbundles.components.inference import ImageBatches, entity_prompts, gather_images, list_images
from radbundles.components.inference.output_files import file_name
from radbundles.transforms import FitRadiographd, FittedFrame, LoadRadiographd, ResizeRadiographd


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)


def batches(folder: Path, **kwargs: int) -> ImageBatches:
    transform = Compose(
        [
            LoadRadiographd("image"),
            ResizeRadiographd("image", size=8, window_key=None),
            SelectItemsd(["id", "image"]),
        ]
    )
    return ImageBatches(Dataset(list_images(folder), transform), faults=folder / "out" / "faults.jsonl", **kwargs)


def test_images_are_listed_by_their_path_and_other_files_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "b" / "2.png")
    picture(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    assert [item["id"] for item in list_images(tmp_path)] == ["a.PNG", "b/2.png"]


def test_an_unreadable_image_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in ("1", "3", "4"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "2.png").write_bytes(b"not a picture")
    loader = batches(tmp_path, batch_size=1)
    assert [batch["id"] for batch in loader] == [["1.png"], ["3.png"], ["4.png"]]
    faults = [json.loads(line) for line in loader.faults.read_text(encoding="utf-8").splitlines()]
    assert [fault["id"] for fault in faults] == ["2.png"] and faults[0]["reason"]


def test_no_fault_leaves_no_file(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    loader = batches(tmp_path)
    assert [batch["image"].shape for batch in loader] == [(1, 1, 8, 8)]
    assert not loader.faults.exists()


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_images_is_an_error_that_names_it(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "empty"
    if make:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        list_images(folder)


def test_file_names_are_flat_and_stay_apart() -> None:
    assert file_name("a1.dcm") == "a1.dcm"
    assert "/" not in file_name("../x/y.png")
    assert file_name("x/y.png") != file_name("x_y.png") != file_name("x y.png")


def test_prompts_flag_the_pieces_of_the_entity(golden_dir: Path) -> None:
    tokenizer = golden_dir / "ecamp_official_wordpiece.json"
    if not tokenizer.is_file():
        pytest.skip("no tokenizer among the reference files")
    [(ids, flags)] = entity_prompts(tokenizer, ["effusion"])
    assert (ids, flags) == ([2, 219, 149, 203, 16], [False, False, False, True, False])


def test_files_and_folders_are_gathered_and_ids_stay_apart(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        picture(tmp_path / name)
    (tmp_path / "3.img").write_bytes(b"named, hence tried whatever its suffix")
    items = gather_images([tmp_path / "a", tmp_path / "b" / "1.png", tmp_path / "3.img", tmp_path / "a" / "2.png"])
    one, other = (tmp_path / "a/1.png").as_posix(), (tmp_path / "b/1.png").as_posix()
    assert [item["id"] for item in items] == [one, "2.png", other, "3.img"]
    assert [Path(item["image"]).name for item in items] == ["1.png", "2.png", "1.png", "3.img"]


def test_a_batch_brings_along_what_is_known_of_each_image(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    Image.fromarray(np.arange(128, dtype=np.uint8).reshape(8, 16)).save(tmp_path / "2.png")
    transform = Compose([LoadRadiographd("image"), FitRadiographd("image", size=8)])
    items = [{**item, "note": item["id"].upper()} for item in list_images(tmp_path)]
    loader = ImageBatches(Dataset(items, transform), faults=tmp_path / "faults.jsonl")
    [batch] = loader
    assert batch["note"] == ["1.PNG", "2.PNG"] and batch["image"].shape == (2, 1, 8, 8)
    frames = [FittedFrame.of(meta) for meta in batch["meta"]]
    assert [(frame.height, frame.width) for frame in frames] == [(8, 8), (8, 16)]
    assert (loader.done, loader.refused) == (2, 0)
