# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import TaskItems, load_detection_items

CLASSES = ["nodule", "effusion"]
BOX = [1, 2, 4, 6]


def write(path: Path, items: list[dict[str, Any]], section: str = "training") -> Path:
    rows = [
        {"id": f"i{place}", "image": f"{place}.png", "patient": f"p{place}", **item} for place, item in enumerate(items)
    ]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({**row, "split": section}) + "\n" for row in rows))
    else:
        path.write_text(json.dumps({section: rows}))
    return path


def boxed(**extra: Any) -> dict[str, Any]:
    """An item that has a box of both classes, so that training is content."""
    return {"boxes": {"nodule": [BOX], "effusion": [BOX]}, **extra}


def ids(items: TaskItems) -> list[str]:
    return [item["id"] for item in items]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_items_have_boxes_of_the_classes_and_a_row_of_labels(tmp_path: Path, suffix: str) -> None:
    path = write(
        tmp_path / f"d{suffix}",
        [boxed(sex="F"), {"boxes": {"effusion": [BOX, [0, 0, 1, 1]], "rib": [BOX], "nodule": []}}, {}],
    )
    items = load_detection_items(path, "training", CLASSES, dataset_dir="base")
    assert items.labels.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert items[0]["sex"] == "F" and items[0]["labels"] == [1, 1]
    assert items[1]["boxes"] == {"effusion": [BOX, [0, 0, 1, 1]]}
    assert items[2]["boxes"] == {} and items[2]["image"] == str(Path("base") / "2.png")
    assert not items.left_out
    again = pickle.loads(pickle.dumps(items))
    assert again[1] == items[1]


@pytest.mark.parametrize(
    ("item", "missing", "reason"),
    [
        ({"labels": {"nodule": 1, "effusion": 0}}, "absent", "nodule is present, but has no boxes"),
        ({"labels": {"nodule": 1}, "boxes": {"nodule": []}}, "absent", "nodule is present, but has no boxes"),
        ({"labels": {"nodule": -1}, "boxes": {"effusion": [BOX]}}, "absent", "nodule is unknown"),
        ({"boxes": {"nodule": [BOX]}}, "unknown", "nothing is said of effusion"),
        ({"boxes": {"nodule": [BOX]}}, "absent", None),
        ({"boxes": {"nodule": [BOX], "effusion": []}}, "unknown", None),
        ({"boxes": {"nodule": [BOX]}, "labels": {"effusion": 0}}, "unknown", None),
        ({"boxes": {"nodule": [BOX]}, "labels": {"effusion": 0, "nodule": 1}}, "unknown", None),
        ({"labels": {"nodule": 0, "effusion": 0, "rib": -1}}, "unknown", None),
    ],
)
def test_an_image_in_which_a_class_is_unknown_is_left_out(
    tmp_path: Path, item: dict[str, Any], missing: str, reason: str | None
) -> None:
    path = write(tmp_path / "d.json", [boxed(), item])
    items = load_detection_items(path, "training", CLASSES, missing=missing)
    assert dict(items.left_out) == ({reason: 1} if reason else {})
    assert ids(items) == (["i0"] if reason else ["i0", "i1"])


def test_several_names_become_one_class(tmp_path: Path) -> None:
    both = {"boxes": {"left lung": [BOX], "right lung": [[5, 0, 9, 9]]}}
    one_absent = {"boxes": {"left lung": [BOX]}, "labels": {"right lung": 0}}
    one_unknown = {"labels": {"left lung": 0, "right lung": -1}}
    path = write(tmp_path / "d.json", [both, one_absent, one_unknown])
    names = {"left lung": "lung", "right lung": "lung"}
    items = load_detection_items(path, "training", ["lung"], names=names)
    assert items[0]["boxes"] == {"lung": [BOX, [5, 0, 9, 9]]}
    assert ids(items) == ["i0", "i1"] and items.left_out == {"lung is unknown": 1}
    with pytest.raises(ValueError, match="no class; is it 'lung'"):
        load_detection_items(path, "training", ["lung"], names={"left lung": "lungs"})


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([4, 2, 1, 6], "inverted"),
        ([1, 2, 1, 6], "no area"),
        ([30, 2, 40, 6], "outside of the image, 30 x 20"),
        ([1, -5, 3, 0], "outside"),
        ([0, 0, 1e999, 1], "finite"),
    ],
)
def test_a_wrong_box_is_refused_with_item_and_class(tmp_path: Path, box: list[float], fault: str) -> None:
    path = write(tmp_path / "d.json", [boxed(), {"boxes": {"nodule": [BOX, box]}, "size": [30, 20]}])
    path.write_text(path.read_text().replace("Infinity", "1e999"))  # JSON, but too large for a float
    with pytest.raises(ValueError, match=f"item 'i1'.*'nodule'.*{fault}"):
        load_detection_items(path, "training", CLASSES)


def test_training_needs_a_box_of_every_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows: list[dict[str, Any]] = [{"boxes": {"nodule": [BOX], "pleural effusion": [BOX]}}, {"labels": {"nodule": 1}}]
    path = write(tmp_path / "d.json", rows)
    with pytest.raises(ValueError, match=r"\['effusion'\].*no boxes: 1.*'pleural effusion' \(1 images\).*names"):
        load_detection_items(path, "training", CLASSES)
    path = write(tmp_path / "v.json", rows, "validation")
    with caplog.at_level(logging.WARNING):
        assert len(load_detection_items(path, "validation", CLASSES)) == 1
    assert "no score of it" in caplog.text and "left out 1 images" in caplog.text
    with pytest.raises(ValueError, match="no image counts"):
        load_detection_items(path, "validation", CLASSES, missing="unknown")


def test_a_fraction_is_taken_of_training_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", [boxed() if place % 2 else {} for place in range(40)])
    part = load_detection_items(path, "training", CLASSES, fraction=0.1, seed=3)
    assert part.labels.sum(axis=1).tolist().count(2) == 2 and len(part) == 4
    whole = load_detection_items(path, "training", CLASSES)
    assert len(whole) == 40 and set(ids(part)) < set(ids(whole))
    path = write(tmp_path / "t.json", [boxed()], "test")
    with pytest.raises(ValueError, match="always taken whole"):
        load_detection_items(path, "test", CLASSES, fraction=0.1)


@pytest.mark.parametrize("arguments", [{"missing": "zero"}, {"classes": "lung"}, {"classes": []}])
def test_arguments_are_checked(tmp_path: Path, arguments: dict[str, Any]) -> None:
    path = write(tmp_path / "d.json", [boxed()])
    with pytest.raises(ValueError, match="must be"):
        load_detection_items(path, "training", **{"classes": CLASSES, **arguments})
