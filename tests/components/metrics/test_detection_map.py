# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine

from radbundles.components.metrics import COCO_IOUS, DetectionMAP, ImageBoxes
from radbundles.components.metrics import detection_map as module
from radbundles.components.metrics.detection_rows import detected_boxes
from radbundles.transforms import FittedFrame

SIDE = 64
SIZE = (40, 80)  # height, width of the stored images: half of the square is padding
FRAME = FittedFrame(*SIZE, SIDE)


def output(*images: dict[str, Any], first: int = 0) -> dict[str, Any]:
    """Evaluator output of images with true ``boxes`` and ``found`` ones, each (class, box) or (class, score, box)."""

    def tensor(boxes: list[Any]) -> torch.Tensor:
        return torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)

    truths = [entry.get("boxes", []) for entry in images]
    found = [entry.get("found", []) for entry in images]
    stored = [tensor([box for _, box in boxes]) for boxes in truths]
    return {
        "image": {
            "image": torch.zeros(len(images), 3, SIDE, SIDE),
            "size": torch.tensor([SIZE] * len(images)),
            "stored_boxes": stored,
            "boxes": [FRAME.boxes_to_fitted(boxes).float() for boxes in stored],
            "box_classes": [torch.tensor([number for number, _ in boxes], dtype=torch.int64) for boxes in truths],
            "id": [f"i{first + place}" for place in range(len(images))],
        },
        "pred": {
            "boxes": [FRAME.boxes_to_fitted(tensor([box for _, _, box in boxes])).float() for boxes in found],
            "scores": [torch.tensor([score for _, score, _ in boxes]) for boxes in found],
            "box_classes": [torch.tensor([number for number, _, _ in boxes], dtype=torch.int64) for boxes in found],
        },
    }


def rows(outcome: dict[str, Any], classes: int) -> dict[str, ImageBoxes]:
    return detected_boxes(outcome["image"], outcome["pred"], classes)


BOX = [10.0, 5.0, 40.0, 35.0]
RIGHT: dict[str, Any] = {"boxes": [(0, BOX)], "found": [(0, 0.8, BOX)]}
FALSE: dict[str, Any] = {"found": [(0, 0.9, BOX)]}


def test_rows_are_in_pixels_of_the_stored_image() -> None:
    row = rows(output(RIGHT), 1)["i0"]
    assert row.boxes.tolist() == row.truths.tolist() == [BOX]
    assert row.scores.tolist() == [0.800000012]  # as float32 has it, to nine digits


def test_detections_are_cut_at_the_border_and_what_lies_in_the_padding_is_none() -> None:
    batch = output(RIGHT)
    top = float(FRAME.top)
    batch["pred"]["boxes"][0] = torch.tensor([[5.0, 0.0, 20.0, top], [0.0, 0.0, 32.0, 64.0]])
    batch["pred"]["scores"][0], batch["pred"]["box_classes"][0] = torch.tensor([0.5, 0.25]), torch.zeros(2)
    row = rows(batch, 1)["i0"]
    assert row.boxes.tolist() == [[0, 0, 40, 40]] and row.scores.tolist() == [0.25] and row.classes.tolist() == [0]


def run(*outputs: dict[str, Any], **arguments: Any) -> float:
    engine: Engine = Engine(lambda _, batch: batch)
    DetectionMAP(["nodule", "mass"], **arguments).attach(engine, "map")
    engine.run(list(outputs))
    return float(engine.state.metrics["map"])


def test_the_mean_is_over_classes_with_truth_and_overlaps() -> None:
    assert run(output(RIGHT)) == pytest.approx(1)
    loose = {"boxes": [(0, BOX)], "found": [(0, 0.8, [10.0, 5.0, 40.0, 26.0])]}  # overlap .7
    assert run(output(loose), ious=[0.5]) == pytest.approx(1)
    assert run(output(loose)) == pytest.approx(sum(iou < 0.7 + 1e-6 for iou in COCO_IOUS) / 10)
    assert run(output(RIGHT, {"boxes": [(1, BOX)]})) == pytest.approx(0.5)


def test_false_alarms_in_images_without_boxes_count() -> None:
    """Quirk Q37."""
    assert run(output(RIGHT), output(FALSE, first=1)) == pytest.approx(0.5)


def test_an_image_that_comes_twice_counts_once() -> None:
    assert run(output(RIGHT, FALSE), output(RIGHT)) == run(output(RIGHT, FALSE))


def test_images_of_other_processes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = rows(output(FALSE, first=5), 2)
    monkeypatch.setattr(module, "gather_rows", lambda own: {**own, **elsewhere})
    assert run(output(RIGHT)) == pytest.approx(0.5)


def test_a_second_epoch_starts_anew() -> None:
    metric = DetectionMAP(["nodule"])
    metric.update(tuple(output(FALSE, RIGHT).values()))
    assert metric.compute() == pytest.approx(0.5)
    metric.reset()
    metric.update(tuple(output(RIGHT, first=7).values()))
    assert metric.compute() == pytest.approx(1)


def test_without_a_true_box_there_is_nothing_to_choose_by() -> None:
    with pytest.raises(ValueError, match="none of 2 images has a box.*validation"):
        run(output(FALSE, {}))


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("box_classes", torch.tensor([2]), r"classes \[2\], but there are 2"),
        ("box_classes", torch.tensor([0, 0]), "but 2 classes"),
        ("scores", torch.tensor([1.5]), "between 0 and 1"),
        ("scores", torch.tensor([float("nan")]), "between 0 and 1"),
        ("scores", torch.tensor([0.5, 0.5]), "2 scores of 1 detections"),
        ("boxes", torch.tensor([[0.0, 0.0, float("nan"), 1.0]]), "not finite"),
    ],
)
def test_what_does_not_fit_is_named(key: str, value: torch.Tensor, fault: str) -> None:
    batch = output(RIGHT)
    batch["pred"][key] = [value]
    with pytest.raises(ValueError, match=f"'i0'.*{fault}"):
        rows(batch, 2)
