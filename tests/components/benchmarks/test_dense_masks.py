# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from radbundles.components.benchmarks.dense_masks import METHODS, TASKS, _best_levels, measure, prepare, summarize
from radbundles.components.data import iter_datalist
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.transforms import FittedFrame

SMALL = {"image_size": 32, "batch_size": 2, "epoch_batches": 2, "num_workers": 0}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of bright ellipses on both sides, each with one mask of both."""
    folder = tmp_path_factory.mktemp("collection")
    rows = []
    for source, count in (("montgomery", 14), ("shenzhen_nc", 14), ("covid_lungs", 2)):
        for number in range(count):
            name = f"{source}{number}"
            mask = Image.new("L", (48, 40))
            draw = ImageDraw.Draw(mask)
            for left in (6, 28):
                draw.ellipse((left, 6, left + 14, 32), fill=255)
            picture = np.asarray(mask, np.float32) * 0.6 + np.random.default_rng(number).uniform(0, 60, (40, 48))
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"{name}.png")
            mask.save(folder / f"{name}-mask.png")
            rows.append(
                {
                    "id": name,
                    "source": source,
                    "patient": name,
                    "image": f"{name}.png",
                    "size": [48, 40],
                    "modality": "CXR",
                    "masks": {"lungs": f"{name}-mask.png"},
                }
            )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def stage1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained stage 1 of the tiny shape, packed."""
    from radbundles.components.data.tokenizer_training import train_tokenizer

    folder = tmp_path_factory.mktemp("stage1")
    tokenizer = folder / "tokenizer.json"
    train_tokenizer(["there is a left lung", "there is a right lung", "lung field"] * 4, vocab_size=160, out=tokenizer)
    root = find_bundle("dcxfm_pretrain").folder
    overrides: dict[str, Any] = {"image_size": 32, "center_features": False}
    made = bundle_workflow(root, ("inference", "tiny"), tokenizer=str(tokenizer), **overrides)
    torch.save(made.parser.get_parsed_content("network").state_dict(), folder / "model.pt")
    return pack_bundle(
        root,
        ["train", "tiny"],
        folder / "packed",
        weights=folder / "model.pt",
        tokenizer=tokenizer,
        overrides=overrides,
    )


def test_lungs_are_parted_and_a_source_is_left_out(collection: Path, tmp_path: Path) -> None:
    sources = prepare(TASKS["chest"], collection, tmp_path)
    assert [source["sections"] for source in sources][2] == {"training": [], "validation": []}
    rows = [(split, item) for _, split, item in iter_datalist(sources[2]["datalist"])]
    assert len(rows) == 2 and all(split == "test" for split, _ in rows)
    sides = {name: np.asarray(Image.open(path)) for name, path in rows[0][1]["masks"].items()}
    assert set(sides) == {"left lung", "right lung"}
    assert np.nonzero(sides["left lung"])[1].mean() > 24 > np.nonzero(sides["right lung"])[1].mean(), "of the patient"


def test_all_methods_are_judged_on_every_picture(collection: Path, stage1: Path, tmp_path: Path) -> None:
    figures = measure("chest", collection, tmp_path, stage1=stage1, epochs=1, **SMALL)
    lung = figures["dice"]["covid_lungs"]["left lung"]
    assert lung["pictures"] == 2 and all(0 <= value <= 1 for name in METHODS for value in lung[name])
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == figures
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    judged = sum(entry["pictures"] for source in figures["dice"].values() for entry in source.values())
    assert len(lines) == 1 + 3 * judged and "covid_lungs0" not in "".join(lines), "ids are hashed"


def test_levels_are_those_of_the_highest_dice() -> None:
    frame = FittedFrame(4, 4, 4)
    maps = torch.linspace(0, 1, 16).view(1, 4, 4)
    mask = maps >= 0.7
    samples = [(maps, mask, torch.tensor([1]), frame)]
    [level] = _best_levels(lambda image: image, samples, ["any"]).tolist()
    assert 0.65 < level <= 0.75


def test_differences_are_drawn_with_the_same_patients() -> None:
    rows: list[dict[str, Any]] = []
    for patient in range(8):
        for method, dice in zip(METHODS, (0.5 + patient / 20, 0.4 + patient / 20, 0.1), strict=True):
            place = {"source": "s", "picture": str(patient), "patient": str(patient), "class": "c"}
            rows.append({**place, "method": method, "dice": dice})
    entry = summarize(rows)["s"]["c"]
    assert entry["stage 2 - U-Net"] == [0.1, 0.1, 0.1], "the same in every resample"
    assert entry["stage 2"][1] < entry["stage 2"][0] < entry["stage 2"][2]
