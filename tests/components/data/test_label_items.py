# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tests of items for classification."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radbundles.components.data import MixedSampler, datalist_classes, load_label_items, write_datalist


def _write(path: Path, rows: list[tuple[str, dict[str, Any]]], **header: Any) -> Path:
    """Write a datalist of (split, labels)."""
    items = [
        (split, {"id": f"i{number}", "image": f"{number}.png", "patient": f"p{number}", "sex": "F", "labels": labels})
        for number, (split, labels) in enumerate(rows)
    ]
    write_datalist(path, items, **header)
    return path


ROWS: list[tuple[str, dict[str, Any]]] = [
    ("training", {"edema": 1, "mass": 0}),
    ("training", {"edema": 0, "mass": 1}),
    ("training", {"edema": -1}),
    ("training", {"mass": -1, "edema": 0}),
    ("validation", {"edema": 1}),
]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_labels_are_lists_over_the_classes_and_fields_stay(tmp_path: Path, suffix: str) -> None:
    """Labels follow the order of classes; id, sex and the joined path stay."""
    items = load_label_items(_write(tmp_path / f"d{suffix}", ROWS), "training", ["mass", "edema"])
    assert [item["labels"] for item in items] == [[0, 1], [1, 0], [-1, 0]]
    assert items.labels.dtype == np.int8 and items.labels.tolist() == [[0, 1], [1, 0], [-1, 0]]
    assert items[-1]["id"] == "i3" and items[0]["sex"] == "F" and items[0]["image"] == str(tmp_path / "0.png")
    assert items.left_out == {"nothing is known": 1} and items.counts == {"all": 3}
    again = pickle.loads(pickle.dumps(items))
    assert again[0:2] == items[0:2] and again.classes == ("mass", "edema")
    with pytest.raises(IndexError):
        items[3]


def test_what_is_not_said_can_be_absent(tmp_path: Path) -> None:
    """With missing='absent' a label that is not there is 0, one that is -1 stays unknown."""
    items = load_label_items(_write(tmp_path / "d.json", ROWS), "training", ["mass", "edema"], missing="absent")
    assert items.labels.tolist() == [[0, 1], [1, 0], [0, -1], [-1, 0]]


def test_names_unite_labels(tmp_path: Path) -> None:
    """Of several names for a class, present goes before unknown and unknown before absent."""
    rows = [{"a": 0, "b": 1}, {"a": 0, "b": -1, "c": 0}, {"a": 0, "b": 0}, {"c": 1}, {"x": 1, "c": 0}]
    path = _write(tmp_path / "d.json", [("training", row) for row in rows])
    items = load_label_items(path, "training", ["x", "c"], names={"a": "x", "b": "x"})
    assert items.labels.tolist() == [[1, -1], [-1, 0], [0, -1], [-1, 1], [1, 0]]  # "x" keeps its own name
    with pytest.raises(ValueError, match="'a' into 'edma'.*is it 'edema'"):
        load_label_items(path, "training", ["edema", "c"], names={"a": "edma"})


def test_one_class_needs_exactly_one_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Multiclass: one 1 decides; none or several are left out, counted and logged."""
    rows = [{"a": 1}, {"b": 1, "a": -1}, {"a": 1, "b": 1}, {"a": 0, "b": 0}, {}, {"other": 1}]
    path = _write(tmp_path / "d.json", [("training", row) for row in rows])
    with caplog.at_level(logging.WARNING):
        items = load_label_items(path, "training", ["a", "b"], task="multiclass")
    assert items.labels.tolist() == [[1, 0], [0, 1]]
    assert items.left_out == {"several classes are present": 1, "no class is present": 3}
    assert "left out 4 images" in caplog.text


def test_a_class_must_have_two_sides_in_training(tmp_path: Path) -> None:
    """The error gives the counts and the mend; validation and permission go through."""
    rows = [("training", {"a": 1}), ("training", {"a": 1, "b": 0}), ("training", {"b": 1}), ("test", {"a": 1})]
    path = _write(tmp_path / "d.json", rows)
    with pytest.raises(ValueError, match="'a' is present in 2 images and absent in 0.*missing='absent'"):
        load_label_items(path, "training", ["a", "b"])
    assert len(load_label_items(path, "training", ["a", "b"], allow_one_sided=True)) == 3
    assert len(load_label_items(path, "training", ["a", "b"], missing="absent")) == 3
    assert len(load_label_items(path, "test", ["a", "b"])) == 1
    with pytest.raises(ValueError, match=r"'A' is present in 0 images and absent in 0.*names, such as {'a': 'A'}"):
        load_label_items(path, "training", ["A", "b"])
    with pytest.raises(ValueError, match="1 items can be used .nothing is known: 1.*labels of the items are .'a'."):
        load_label_items(path, "test", ["A"])


def test_classes_come_from_the_header_or_the_training_items(tmp_path: Path) -> None:
    """Header first; else labels of training in natural order."""
    rows: list[tuple[str, dict[str, Any]]] = [
        ("training", {"grade 10": 1, "grade 2": 0}),
        ("training", {"grade 2": 1, "grade 10": 0}),
        ("test", {"other": 1}),
    ]
    header = _write(tmp_path / "h.json", rows, label_names=["grade 2", "other", "grade 10"])
    assert datalist_classes(header) == ["grade 2", "other", "grade 10"]
    for name in ("d.json", "d.jsonl"):
        assert datalist_classes(_write(tmp_path / name, rows)) == ["grade 2", "grade 10"]
    assert load_label_items(tmp_path / "d.json", "training").classes == ("grade 2", "grade 10")
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps({"training": [{"id": "a", "image": "a.png"}]}))
    with pytest.raises(ValueError, match="neither label_names nor labels"):
        datalist_classes(bare)


def test_balance_draws_from_all_classes_evenly(tmp_path: Path) -> None:
    """Items stand by their rarest class, and the sampler draws each stratum as often."""
    rows = [{"common": 1, "rare": 0}] * 8 + [{"common": 1, "rare": 1}] * 2 + [{"common": 0, "rare": 0}] * 4
    path = _write(tmp_path / "d.json", [("training", row) for row in rows])
    items = load_label_items(path, "training", ["common", "rare"], balance=True)
    assert items.counts == {"common": 8, "rare": 2, "none": 4}
    assert items.labels.tolist() == [[1, 0]] * 8 + [[1, 1]] * 2 + [[0, 0]] * 4
    assert items[8]["id"] == "i8"
    sampler = MixedSampler(items.counts, weights=items.weights, batch_size=6, seed=0, batches=10)
    drawn = items.labels[np.array(list(sampler)) % len(items)]
    assert [int((drawn == row).all(axis=1).sum()) for row in ([1, 0], [1, 1], [0, 0])] == [20, 20, 20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "multi"}, "task must be one of"),
        ({"missing": "no"}, "missing must be"),
        ({"classes": "edema"}, "list of different names"),
        ({"classes": ["a", "a"]}, "list of different names"),
        ({"section": "validation", "fraction": 0.1}, "fraction of 0.1 is for training"),
        ({"fraction": 0.0}, "fraction must be above 0"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    """Each argument out of range is refused with its value."""
    path = _write(tmp_path / "d.json", ROWS)
    with pytest.raises(ValueError, match=message):
        load_label_items(path, **{"section": "training", "classes": ["edema", "mass"], **arguments})
