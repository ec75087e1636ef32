# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.data import annotated_classes, write_datalist


@pytest.fixture(params=["json", "jsonl"])
def datalist(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"list.{request.param}"
    rows = [
        ("training", {"id": "a", "image": "a.png", "masks": {"lungs": "l.png"}, "boxes": {"nodule": []}}),
        ("training", {"id": "b", "image": "b.png", "masks": {"heart": "h.png"}, "boxes": {"mass": [[0, 0, 1, 1]]}}),
        ("test", {"id": "c", "image": "c.png", "masks": {"aorta": "o.png"}}),
    ]
    write_datalist(path, rows)
    return path


def test_classes_are_those_of_the_training_section(datalist: Path) -> None:
    assert annotated_classes(datalist, "masks") == ["heart", "lungs"]


def test_class_without_a_box_cannot_be_learned(datalist: Path) -> None:
    assert annotated_classes(datalist, "boxes") == ["mass"]


def test_datalist_without_boxes_says_how_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    write_datalist(path, [("training", {"id": "a", "image": "a.png"})])
    with pytest.raises(ValueError, match=r"no item of the training section .* has boxes.*--map box\.NAME=COLUMN"):
        annotated_classes(path, "boxes")
    with pytest.raises(ValueError, match=r"--map mask\.NAME"):
        annotated_classes(path, "masks")


def test_other_kinds_are_refused(datalist: Path) -> None:
    with pytest.raises(ValueError, match="'labels'"):
        annotated_classes(datalist, "labels")
