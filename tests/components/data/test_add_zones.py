# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles data zones``: phrases for items with lung masks, the others as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import radbundles.cli.data_command
from radbundles.cli.app import app
from radbundles.components.data import LUNG_ZONES, add_zone_phrases, build_datalist, iter_datalist

assert radbundles.cli.data_command  # adds the commands to the application


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "zones", *map(str, arguments)])


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Items with two masks, one mask, none, a broken one, and a mask of one lung."""
    folder = tmp_path / "set"
    folder.mkdir()
    left, right = np.zeros((2, 90, 100), dtype=np.uint8)
    left[10:70, 60:90] = 255
    right[20:80, 10:40] = 255
    files = {"image": left // 4, "left": left, "right": right, "both": left | right, "small": left[:50]}
    for name, pixels in files.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    phrase = {"text": "a nodule", "boxes": [[1, 2, 3, 4]]}
    masks: dict[str, dict[str, str]] = {
        "two": {"left lung": "left.png", "right lung": "right.png", "heart": "left.png"},
        "joined": {"lungs": "both.png"},
        "heart": {"heart": "left.png"},
        "broken": {"lungs": "broken.png"},
        "small": {"lungs": "small.png"},
        "one": {"lungs": "left.png"},
    }
    rows: list[dict[str, Any]] = [
        {"id": name, "split": "test", "image": "image.png", "masks": masks[name], "phrases": [phrase]} for name in masks
    ]
    rows.append({"id": "plain", "split": "training", "image": "image.png"})
    path = folder / "datalist.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def items(path: Path) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for _, _, item in iter_datalist(path)}


def test_items_with_lung_masks_get_zones_and_others_stay(datalist: Path) -> None:
    out = datalist.with_name("zones.jsonl")
    report = add_zone_phrases(datalist, out)
    assert (report.added, report.without_masks, dict(report.faults)) == (2, 2, {"unreadable_mask": 2, "wrong_value": 1})
    before, after = items(datalist), items(out)
    for name in ("two", "joined"):
        texts = [phrase["text"] for phrase in after[name]["phrases"]]
        assert texts == ["a nodule", *LUNG_ZONES]
    assert after["two"]["phrases"] == after["joined"]["phrases"]
    assert {"text": "left upper lung", "boxes": [[60, 10, 90, 30]]} in after["two"]["phrases"]
    assert all(after[name] == before[name] for name in before if name not in ("two", "joined"))
    assert [split for _, split, _ in iter_datalist(out)] == [split for _, split, _ in iter_datalist(datalist)]


def test_faults_say_which_item_and_why(datalist: Path) -> None:
    report = add_zone_phrases(datalist, datalist.with_name("zones.jsonl"))
    faults = {fault["id"]: fault for fault in map(json.loads, report.faults_path.read_text().splitlines())}
    assert set(faults) == {"broken", "small", "one"}
    assert "50 x 100" in faults["small"]["message"] and faults["small"]["row"] == 5
    assert "two lungs" in faults["one"]["message"]


def test_a_second_time_changes_nothing(datalist: Path) -> None:
    out = datalist.with_name("zones.jsonl")
    add_zone_phrases(datalist, out)
    first = out.read_bytes()
    add_zone_phrases(out, out)
    assert out.read_bytes() == first


def test_paths_follow_the_datalist_to_another_folder(datalist: Path, tmp_path: Path) -> None:
    add_zone_phrases(datalist, tmp_path / "elsewhere" / "zones.json")
    moved = items(tmp_path / "elsewhere" / "zones.json")["two"]
    assert moved["image"] == "../set/image.png" and moved["masks"]["heart"] == "../set/left.png"
    add_zone_phrases(datalist, tmp_path / "kept.jsonl", dataset_dir=datalist.parent)
    assert items(tmp_path / "kept.jsonl")["two"]["image"] == "image.png"


def test_header_of_a_json_datalist_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    header = {"name": "mine", "label_names": ["edema"], "training": [{"id": "a", "image": "a.png"}]}
    path.write_text(json.dumps(header))
    add_zone_phrases(path, tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == {**header, "validation": [], "test": []}


def test_command_counts_and_points_to_the_faults(datalist: Path) -> None:
    out = datalist.with_name("zones.jsonl")
    result = run(datalist, "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 items got zone phrases, 2 have no lung masks" in result.output
    assert "2 unreadable_mask, 1 wrong_value" in result.stderr and f"{out.name}.faults.jsonl" in result.stderr


def test_command_fails_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "split": "test", "image": "a.png"}\n')
    assert run(path, "--out", tmp_path / "b.jsonl").exit_code == 1
    assert run(tmp_path / "none.jsonl", "--out", tmp_path / "b.jsonl").exit_code == 2


def test_zones_of_real_radiographs_lie_where_their_names_say(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "list.jsonl"
    build_datalist("open-collection", shared_data, out, only=["masks"], sources=["montgomery", "shenzhen_nc"])
    every_twelfth = out.read_text().splitlines(keepends=True)[::12]
    out.write_text("".join(every_twelfth))
    report = add_zone_phrases(out, tmp_path / "zones.jsonl")
    assert report.added == len(every_twelfth) > 30 and not report.faults
    for item in items(tmp_path / "zones.jsonl").values():
        width, height = item["size"]
        boxes = {phrase["text"]: phrase["boxes"][0] for phrase in item["phrases"]}
        assert list(boxes) == list(LUNG_ZONES)
        centers = {name: ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height) for name, (x0, y0, x1, y1) in boxes.items()}
        for name, (x, _) in centers.items():
            assert x > 0.5 if name.startswith("left") else x < 0.5, (item["id"], name)
        for side in ("left", "right"):
            upper, middle, lower = (centers[f"{side} {part} lung"][1] for part in ("upper", "middle", "lower"))
            assert upper < middle < lower
        # The collection's own boxes of the two lungs, found by another method.
        for name, wanted in item["boxes"].items():
            x0, y0, x1, y1 = wanted[0]
            assert centers[name][0] == pytest.approx((x0 + x1) / 2 / width, abs=0.02)
            assert centers[name][1] == pytest.approx((y0 + y1) / 2 / height, abs=0.02)
