# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from radbundles.components.inference import WriteLabels

MODEL = {"name": "known", "version": "1.2.3"}
CLASSES = ["bright, and low", "bright right"]
Run = Callable[..., list[dict[str, Any]]]
Points = Callable[..., dict[str, Any]]


class Halves(nn.Module):
    """Logits of two classes: how much brighter the lower half is than the upper one, the right than the left."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = image.shape[-1] // 2
        low = image[..., middle:, :].mean((1, 2, 3)) - image[..., :middle, :].mean((1, 2, 3))
        right = image[..., middle:].mean((1, 2, 3)) - image[..., :middle].mean((1, 2, 3))
        return 3 * torch.stack([low, right], dim=1)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_class_is_answered_at_its_threshold(run: Run, points: Points, tmp_path: Path) -> None:
    chosen = points("multilabel", {CLASSES[0]: 0.6, CLASSES[1]: None}, {CLASSES[0]: 0.5, CLASSES[1]: None})
    writer = WriteLabels(tmp_path / "out", classes=CLASSES, task="multilabel", points=chosen, model=MODEL)
    written = run(Halves(), writer)
    assert [record["image"] for record in written] == ["sub/wide.png", "tall.png", "wide.png"]
    truth = {"wide.png": (True, False), "tall.png": (False, True), "sub/wide.png": (True, True)}
    plain = run(Halves(), WriteLabels(tmp_path / "plain", classes=CLASSES, task="multilabel", points=None, model=MODEL))
    for record, other in zip(written, plain, strict=True):
        low, right = record["classes"]
        assert (low["present"], right["present"]) == truth[record["image"]]
        assert (low["calibrated"], right["calibrated"]) == (True, False)
        assert (low["threshold_from"], right["threshold_from"]) == ("validation", "default")
        # A temperature of one half doubles the logit.
        odds = [one["classes"][0]["probability"] / (1 - one["classes"][0]["probability"]) for one in (other, record)]
        assert odds[1] == pytest.approx(odds[0] ** 2, rel=0.05)
        assert right["probability"] == other["classes"][1]["probability"]
        assert "Nobody has calibrated" in record["note"] and record["model"] == MODEL
    rows = table(tmp_path / "out" / "predictions.csv")
    assert list(rows[0]) == ["image", *(f"{kind} {name}" for name in CLASSES for kind in ("probability", "present"))]
    for row, record in zip(rows, written, strict=True):
        assert row["image"] == record["image"]
        for one in record["classes"]:
            assert float(row[f"probability {one['name']}"]) == one["probability"]
            assert row[f"present {one['name']}"] == str(int(one["present"]))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".json") == [
        "faults.jsonl",
        "predictions.csv",
    ]


def test_a_multi_class_task_names_the_highest(run: Run, points: Points, tmp_path: Path) -> None:
    chosen = points("multiclass", dict.fromkeys(CLASSES), {"all": 2.0})
    writer = WriteLabels(tmp_path, classes=CLASSES, task="multiclass", points=chosen, model=MODEL)
    written = {record["image"]: record for record in run(Halves(), writer)}
    assert (written["wide.png"]["answer"], written["tall.png"]["answer"]) == (CLASSES[0], CLASSES[1])
    for record in written.values():
        values = [one["probability"] for one in record["classes"]]
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert record["answer"] == CLASSES[int(np.argmax(values))]
        assert "may not hold for other data" in record["note"]
    assert [row["answer"] for row in table(tmp_path / "predictions.csv")] == [
        written[row["image"]]["answer"] for row in table(tmp_path / "predictions.csv")
    ]
    with pytest.raises(ValueError, match="names the class of the highest probability"):
        writer.use_threshold(0.4)


def test_a_threshold_of_the_user_counts_and_a_second_run_begins_anew(run: Run, tmp_path: Path) -> None:
    writer = WriteLabels(tmp_path, classes=CLASSES, task="multilabel", points={}, model=MODEL)
    run(Halves(), writer)
    writer.use_threshold(1e-6)
    written = run(Halves(), writer)
    assert all(one["present"] and one["threshold_from"] == "user" for record in written for one in record["classes"])
    assert len(table(tmp_path / "predictions.csv")) == len(written) == 3


def test_a_threshold_is_reached_by_what_equals_it(tmp_path: Path, points: Points) -> None:
    chosen = points("multilabel", {"a": 0.5, "b": 0.5}, {"a": None, "b": None})
    writer = WriteLabels(tmp_path, classes=["a", "b"], task="multilabel", points=chosen, model=MODEL)
    writer.files.start()
    record = writer.write("x", np.array([0.0, -1e-3]), size=(9, 9))
    assert [one["present"] for one in record["classes"]] == [True, False]


def test_color_images_are_answered_too(run: Run, tmp_path: Path) -> None:
    pixels = np.zeros((90, 120, 3), dtype=np.uint8)
    pixels[45:, :, 0] = 255
    (tmp_path / "eyes").mkdir()
    Image.fromarray(pixels).save(tmp_path / "eyes" / "eye.png")
    writer = WriteLabels(tmp_path / "out", classes=CLASSES, task="multilabel", points=None, model=MODEL)
    [record] = run(Halves(), writer, color="rgb", source=tmp_path / "eyes")
    assert record["classes"][0]["present"] and record["size"] == [120, 90]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task must be"):
        WriteLabels(tmp_path, classes=["a"], task="segmentation", points=None, model=MODEL)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name and a version"):
        WriteLabels(tmp_path, classes=["a"], task="multilabel", points=None, model={"name": "known"})
    writer = WriteLabels(tmp_path, classes=["a"], task="multilabel", points=None, model=MODEL)
    with pytest.raises(ValueError, match="film.png: the network's answer holds a value that is no finite number"):
        writer.write("film.png", np.array([math.nan]), size=(9, 9))
