# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator

from radbundles.components.data import collate_boxes
from radbundles.components.evaluation import (
    DETECTION_SCORES,
    DetectionEvaluator,
    DetectionTable,
    Facts,
    FitOperatingPoints,
    WriteEvaluation,
    as_json,
    box_points,
    evaluate_detection,
    match_table,
    read_points,
)
from radbundles.components.evaluation.detection_points import calibrated_matches
from radbundles.components.metrics import FROC_RATES, ImageBoxes, coco_scores, froc_sensitivity, official_ecamp_map
from radbundles.components.metrics.detection_scores import cut_scores
from radbundles.transforms import FittedFrame

sklearn: Any = pytest.importorskip("sklearn.metrics")

CLASSES = ("nodule", "mass")
DRAWS: dict[str, Any] = {"resamples": 40, "seed": 3}


def image(detections: Sequence[Any] = (), truths: Sequence[Any] = ()) -> ImageBoxes:
    """Detections (class, score, box) and true boxes (class, box)."""
    return ImageBoxes(
        boxes=np.array([box for _, _, box in detections], float).reshape(-1, 4),
        scores=np.array([score for _, score, _ in detections], float),
        classes=np.array([number for number, _, _ in detections], np.intp),
        truths=np.array([box for _, box in truths], float).reshape(-1, 4),
        truth_classes=np.array([number for number, _ in truths], np.intp),
    )


def random_table(seed: int = 0, images: int = 40, classes: tuple[str, ...] = CLASSES) -> DetectionTable:
    """Two images a patient; scores are too timid, so that a temperature mends them."""
    rng = np.random.default_rng(seed)
    rows = {}
    for number in range(images):
        truths, detections = [], []
        for _ in range(rng.integers(0, 4)):
            kind, corner = int(rng.integers(2)), rng.integers(0, 80, 2)
            box = np.concatenate([corner, corner + rng.integers(15, 40, 2)]).astype(float)
            truths.append((kind, box))
            if rng.random() < 0.8:
                detections.append((kind, round(rng.uniform(0.4, 0.7), 6), box + rng.integers(-2, 3, 4)))
        for _ in range(rng.poisson(1.5)):
            corner = rng.integers(0, 80, 2)
            box = np.concatenate([corner, corner + 10])
            detections.append((int(rng.integers(2)), round(rng.uniform(0.1, 0.55), 6), box))
        rows[f"i{number:02d}"] = image(detections, truths)
    facts = {id: Facts(place // 2, {"sex": "FM"[place // 2 % 2]}) for place, id in enumerate(rows)}
    return DetectionTable.of(rows, classes, facts)


BOX = [10.0, 10.0, 30.0, 30.0]
FAR = [60.0, 60.0, 80.0, 80.0]


def test_a_table_reads_back_what_it_wrote(tmp_path: Path) -> None:
    table = random_table()
    table = replace(table, ids=("a\u2028b", *table.ids[1:]), clusters=table.clusters + 7)
    table.write(tmp_path / "t.jsonl")
    again = DetectionTable.read(tmp_path / "t.jsonl")
    assert (again.classes, again.ids, again.groups) == (table.classes, table.ids, table.groups)
    assert (again.clusters == table.clusters - 7).all() and again.patients == 20
    for own, theirs in zip(table.images, again.images, strict=True):
        for part, other in zip(own, theirs, strict=True):
            np.testing.assert_array_equal(part, other)
    hashed = table.hashed("salt")
    assert hashed.ids != table.ids and hashed.ids == table.hashed("salt").ids != table.hashed("pepper").ids
    assert as_json(evaluate_detection(hashed, **DRAWS)) == as_json(evaluate_detection(again, **DRAWS))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 3"),
        ('{"id": "b", "patient": 0, "groups": {}, "truths": []}', "no 'found'"),
        (
            '{"id": "b", "patient": 0, "groups": {}, "truths": [{"class": "rib", "box": [0,0,1,1]}], "found": []}',
            "rib|not in",
        ),
        ('{"id": "a", "patient": 0, "groups": {}, "truths": [], "found": []}', "occurs twice"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "t.jsonl"
    first = '{"id": "a", "patient": 0, "groups": {}, "truths": [], "found": []}'
    path.write_text('{"classes": ["nodule"]}\n' + first + "\n" + line + "\n")
    with pytest.raises(ValueError, match=f"t.jsonl, line 3.*({fault})" if fault != "line 3" else "line 3"):
        DetectionTable.read(path)
    path.write_text("")
    with pytest.raises(ValueError, match="names no classes"):
        DetectionTable.read(path)


def test_boxes_of_a_table_fit_its_classes() -> None:
    with pytest.raises(ValueError, match=r"'x'.*classes \[1\], but there are 1"):
        DetectionTable.of({"x": image([(1, 0.5, BOX)])}, ("nodule",))


def test_estimates_are_those_of_the_scores_and_intervals_those_of_patients() -> None:
    table = random_table()
    points = box_points(match_table(random_table(9)), CLASSES, 0.5)
    found = evaluate_detection(table, points, **DRAWS)
    per_class, ones = match_table(table), np.ones((1, len(table)))
    expected = coco_scores(per_class, ones)
    for k, name in enumerate(CLASSES):
        entry = found["classes"][name]
        for score in ("ap", "ap50", "ap75", "ar100"):
            assert entry[score][0] == expected[score][0, k]
        at_rates = froc_sensitivity(per_class[k], 0.5, ones)[0]
        assert entry["froc"][0] == pytest.approx(at_rates.mean())
        np.testing.assert_allclose(found["froc"]["classes"][name][:, 0], at_rates)
        cut = cut_scores(calibrated_matches(per_class, CLASSES, points)[k], 0.5, points["thresholds"][name], ones)
        assert entry["f1"][0] == cut["f1"][0] and entry["false_alarms"][0] == cut["false_alarms"][0]
        assert entry["present"] + entry["absent"] == len(table) and entry["boxes"] == per_class[k].truths.sum()
        for score in DETECTION_SCORES:
            assert entry[score][1] <= entry[score][0] <= entry[score][2] and entry[score][1] < entry[score][2]
    assert found["mean"]["ap"][0] == pytest.approx(expected["ap"].mean())
    assert found["mean"]["official_map"][0] == official_ecamp_map(per_class, ones)[0]
    assert found["froc"]["rates"] == list(FROC_RATES) and found["froc"]["mean"].shape == (7, 3)
    assert (found["samples"], found["patients"], found["classes_in_mean"]) == (40, 20, 2)


def test_images_of_a_patient_are_drawn_together() -> None:
    """Every image ten times: by patients the interval stays as wide, by images it would shrink."""
    table = random_table(images=16)
    copies = {f"{id}-{copy}": row for id, row in zip(table.ids, table.images, strict=True) for copy in range(10)}
    together = {name: Facts(place // 10) for place, name in enumerate(copies)}

    def width(rows: dict[str, ImageBoxes], facts: dict[str, Facts] | None) -> float:
        low, high = evaluate_detection(DetectionTable.of(rows, CLASSES, facts), resamples=200)["mean"]["ap50"][1:]
        return float(high - low)

    alone = width(dict(zip(table.ids, table.images, strict=True)), None)
    assert width(copies, together) == pytest.approx(alone, rel=0.3)
    assert width(copies, None) < alone / 2


def test_subgroups_are_judged_as_tables_of_their_own() -> None:
    table = random_table()
    found = evaluate_detection(table, **DRAWS)["subgroups"]["sex"]
    rows = np.flatnonzero([group["sex"] == "M" for group in table.groups])
    alone = DetectionTable(
        CLASSES,
        tuple(table.ids[row] for row in rows),
        table.clusters[rows],
        tuple(table.images[row] for row in rows),
        tuple({} for _ in rows),
    )
    expected = evaluate_detection(alone, **DRAWS)
    assert found["M"]["samples"] == 20 and found["M"]["patients"] == 10
    assert as_json({name: found["M"][name] for name in expected["mean"]}) == as_json(expected["mean"])
    assert as_json(found["M"]["classes"]) == as_json(expected["classes"])


def test_calibration_against_scikit_learn() -> None:
    table = random_table(images=200)
    per_class = match_table(table)
    points = box_points(per_class, CLASSES, 0.5)
    for k, name in enumerate(CLASSES):
        hits, T = per_class[k].hits[per_class[k].place(0.5)], points["temperature"][name]
        raw, mended = (calibrated_matches(per_class, CLASSES, used)[k].scores for used in (None, points))
        np.testing.assert_allclose(raw, per_class[k].scores)
        assert T < 1 and sklearn.log_loss(hits, mended) < sklearn.log_loss(hits, raw)
        for other in (0.9 * T, 1.1 * T):
            bent = calibrated_matches(per_class, CLASSES, {"temperature": {name: other}})[k].scores
            assert sklearn.log_loss(hits, mended) < sklearn.log_loss(hits, bent)
    found = evaluate_detection(table, points, **DRAWS)["calibration"]
    for stage, used in (("before", None), ("after", points)):
        calibrated = calibrated_matches(per_class, CLASSES, used)
        parts = [(matches.hits[matches.place(0.5)], matches.scores) for matches in calibrated]
        brier = np.mean([sklearn.brier_score_loss(hits, scores) for hits, scores in parts])
        assert found[stage]["brier"][0] == pytest.approx(brier)
        assert found["bins"][stage]["count"].sum() == sum(len(scores) for _, scores in parts)
        ece = []
        for hits, scores in parts:
            place = np.minimum((scores * 15).astype(int), 14)
            bins = [place == number for number in range(15) if (place == number).any()]
            ece.append(sum(abs(scores[member].mean() - hits[member].mean()) * member.mean() for member in bins))
        assert found[stage]["ece"][0] == pytest.approx(np.mean(ece))
    assert found["after"]["ece"][0] < found["before"]["ece"][0]


def test_points_of_a_class_that_is_never_hit_are_none_and_a_half_is_taken() -> None:
    rows = {
        "a": image([(0, 0.9, BOX), (0, 0.8, FAR), (1, 0.7, FAR)], [(0, BOX), (1, BOX)]),
        "b": image([(0, 0.6, BOX)], [(0, BOX)]),
    }
    points = DetectionEvaluator(CLASSES).fit_points(rows)
    assert points["thresholds"]["mass"] is None and points["temperature"]["mass"] is None
    assert 0 < points["thresholds"]["nodule"] and points["samples"] == 2 and "F1" in points["rule"]
    found = evaluate_detection(DetectionTable.of(rows, CLASSES), points, **DRAWS)
    assert found["classes"]["mass"]["threshold"] == 0.5 and found["classes"]["mass"]["f1"][0] == 0
    assert any("no box of mass was hit" in note for note in found["notes"])


def test_a_class_without_a_true_box_is_null_and_left_out_of_the_mean() -> None:
    rows = {"a": image([(0, 0.9, BOX), (1, 0.9, BOX)], [(0, BOX)]), "b": image([(1, 0.8, FAR)])}
    evaluation = DetectionEvaluator(CLASSES, resamples=20).finish(rows, None, {"a": Facts(0), "b": Facts(1)})
    found = as_json(evaluation.result)
    assert found["classes"]["mass"]["ap"] == [None, None, None] and found["classes"]["mass"]["froc"][0] is None
    assert found["classes"]["mass"]["false_alarms"][0] == 1 and found["classes"]["mass"]["clean_negatives"][0] == 0
    assert found["mean"]["ap"][0] == pytest.approx(1) and found["classes_in_mean"] == 1
    assert any("left out of the means: mass" in note for note in found["notes"])
    assert found["operating_points"] is None and "after" not in found["calibration"]


@pytest.mark.parametrize("rows", [{"a": image([(0, 0.9, BOX)])}, {"a": image()}, {"a": image([], [(0, BOX)])}])
def test_nothing_found_or_nothing_there_is_judged(rows: dict[str, ImageBoxes]) -> None:
    evaluator = DetectionEvaluator(CLASSES, resamples=10)
    points = evaluator.fit_points(rows)
    assert points["thresholds"] == {"nodule": None, "mass": None}
    found = as_json(evaluator.finish(rows, points, {"a": Facts(0)}).result)
    truth = len(rows["a"].truths) > 0
    assert found["mean"]["ap"][0] == (0 if truth else None) and found["mean"]["official_map"][0] is None
    assert found["classes"]["nodule"]["found"] == len(rows["a"].scores)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"classes": "nodule"}, "classes"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"iou": 0.0}, "iou"),
        ({"iou": 2.0}, "iou"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        DetectionEvaluator(**{"classes": CLASSES, **arguments})


def test_points_of_another_overlap_and_tables_of_other_classes_are_refused() -> None:
    table, loose = random_table(), DetectionEvaluator(CLASSES, iou=0.3, resamples=10)
    points = loose.fit_points(dict(zip(table.ids, table.images, strict=True)))
    assert loose.judge(table, points).result["froc"]["iou"] == 0.3
    with pytest.raises(ValueError, match="overlap of 0.3, not of 0.5"):
        DetectionEvaluator(CLASSES).judge(table, points)
    with pytest.raises(ValueError, match="not of"):
        DetectionEvaluator(["nodule"]).judge(table, None)
    with pytest.raises(ValueError, match="nothing to judge"):
        match_table(DetectionTable.of({}, CLASSES))


class Found(torch.nn.Module):
    """Finds what the batch says, as an objective of detection gives it."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        boxes = [found["boxes"] for found in batch["found"]]
        scores = [found["scores"] for found in batch["found"]]
        return {"boxes": boxes, "scores": scores, "box_classes": [found["classes"] for found in batch["found"]]}


def batches(table: DetectionTable, side: int = 64) -> list[dict[str, Any]]:
    frame = FittedFrame(150, 150, side)
    samples = []
    for id, row in zip(table.ids, table.images, strict=True):
        truths = torch.from_numpy(row.truths)
        sample = {"image": torch.zeros(3, side, side), "size": torch.tensor([150, 150]), "id": id}
        sample |= {"boxes": frame.boxes_to_fitted(truths), "stored_boxes": truths}
        samples.append(sample | {"box_classes": torch.from_numpy(row.truth_classes)})
    found = [
        {
            "boxes": frame.boxes_to_fitted(torch.from_numpy(row.boxes)).float(),
            "scores": torch.from_numpy(row.scores).float(),
            "classes": torch.from_numpy(row.classes),
        }
        for row in table.images
    ]
    starts = range(0, len(samples), 7)
    return [collate_boxes(samples[start : start + 7]) | {"found": found[start : start + 7]} for start in starts]


def run(table: DetectionTable, handler: FitOperatingPoints | WriteEvaluation) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches(table),
        network=Found(),
        prepare_batch=lambda batch, *_, **__: (batch, None),
        val_handlers=[handler],
        decollate=False,
    )
    evaluator.run()
    return evaluator


def test_the_handlers_write_points_table_result_and_page(tmp_path: Path) -> None:
    judge = DetectionEvaluator(CLASSES, resamples=50)
    run(random_table(1), FitOperatingPoints(judge, tmp_path / "points.json"))
    points = read_points(tmp_path / "points.json", task="detection", classes=CLASSES)
    assert all(0.1 < cut < 0.9 for cut in points["thresholds"].values()) and points["section"] == "validation"

    table = random_table(2)
    items = [{"id": id, "patient": f"p{place // 2}", "sex": "F"} for place, id in enumerate(table.ids)]
    engine = run(table, WriteEvaluation(judge, tmp_path, items, points=tmp_path / "points.json"))
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert engine.state.metrics["ap50"] == found["mean"]["ap50"][0] > 0.3
    assert not math.isnan(engine.state.metrics["official_map"])
    read = DetectionTable.read(tmp_path / "predictions.jsonl")
    again = as_json(judge.judge(read, points).result)
    assert {key: value for key, value in again.items() if key != "notes"} == {
        key: value for key, value in found.items() if key not in ("notes", "section")
    }
    for own, theirs in zip(read.images, table.images, strict=True):
        np.testing.assert_allclose(own.boxes, np.clip(theirs.boxes, 0, 150), atol=2e-3)
        np.testing.assert_array_equal(own.truths, theirs.truths)
    page = (tmp_path / "report.html").read_text()
    for word in (
        "FROC",
        "Precision and recall",
        "Sensitivity at false alarms",
        "official mAP",
        "Reliability",
        "nodule",
    ):
        assert word in page, word
    assert "p0" not in (tmp_path / "predictions.jsonl").read_text()
