# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

from radbundles.components.evaluation import (
    Facts,
    SegmentationTable,
    binary_temperature,
    evaluate_segmentation,
    mask_points,
    weighted_brier,
    weighted_ece,
)
from radbundles.components.evaluation.segmentation_calibration import PixelCalibration, pixel_temperature
from radbundles.components.evaluation.segmentation_pictures import mask_pictures
from radbundles.components.evaluation.segmentation_rows import MaskRow, judge_mask
from radbundles.components.metrics import bootstrap_interval

SHAPE = (24, 20)
Truth = np.ndarray
# Images with what is there and how the network sees it: logits, true mask.
Image = tuple[np.ndarray, np.ndarray]


def images(count: int, *, sharpness: float = 3.0, seed: int = 0) -> list[Image]:
    """Squares of many sizes; logits three times as sure as they should be, and with noise."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        truth = np.zeros(SHAPE, bool)
        truth[: generator.integers(2, 20), : generator.integers(2, 18)] = True
        logits = sharpness * (np.where(truth, 1.0, -1.0) + generator.normal(size=SHAPE) * 1.5)
        made.append((logits.astype(np.float32), truth))
    return made


def table_of(
    classes: dict[str, list[Image | None]], patients: list[int] | None = None, level: float = 0.0
) -> SegmentationTable:
    """A table of images in which classes are known, or (None) unknown."""
    count = len(next(iter(classes.values())))
    rows: dict[str, list[Any]] = {}
    for number in range(count):
        known = [(place, known[number]) for place, known in enumerate(classes.values())]
        rows[f"i{number}"] = [
            judge_mask(place, torch.from_numpy(one[0]), torch.from_numpy(one[1]), level=level)
            for place, one in known
            if one is not None
        ]
    facts = {f"i{n}": Facts(n if patients is None else patients[n], {"site": "AB"[n % 2]}) for n in range(count)}
    return SegmentationTable.of(rows, facts, list(classes))


def flat(made: list[Image]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth of all pixels."""
    return np.concatenate([one[0].ravel() for one in made]), np.concatenate([one[1].ravel() for one in made])


def test_temperature_is_that_of_all_pixels() -> None:
    made = images(30)
    found, wanted = pixel_temperature(table_of({"a": [*made]})), binary_temperature(*flat(made))
    assert wanted is not None and wanted > 2  # the logits are too sure
    assert found == pytest.approx(wanted, rel=2e-3)


def test_temperature_needs_pixels_on_both_sides() -> None:
    nothing = np.zeros(SHAPE, bool)
    assert pixel_temperature(table_of({"a": [(np.ones(SHAPE, np.float32), nothing)]})) is None
    assert pixel_temperature(table_of({"a": [(np.ones(SHAPE, np.float32), ~nothing)]})) is None


@pytest.mark.parametrize("temperature", [1.0, 3.7])
def test_calibration_is_that_of_all_pixels(temperature: float) -> None:
    made, other = images(20), images(20, seed=1, sharpness=0.5)
    scores = PixelCalibration(table_of({"a": [*made], "b": [*other]}), [temperature, 1.0])
    found = scores(np.ones((1, 40)))
    for place, (part, T) in enumerate(((made, temperature), (other, 1.0))):
        logits, truth = flat(part)
        once = np.ones((1, len(truth)))
        assert found["ece"][0, place] == pytest.approx(weighted_ece(expit(logits / T), truth, once)[0], abs=0.004)
        assert found["brier"][0, place] == pytest.approx(weighted_brier(expit(logits / T), truth, once)[0], abs=5e-4)
    bins = scores.reliability()
    assert bins.count.sum() == 40 * math.prod(SHAPE)
    assert (bins.observed * bins.count).sum() == pytest.approx(sum(one[1].sum() for one in [*made, *other]))


def test_images_weigh_the_same_in_calibration_whatever_their_size() -> None:
    small = (np.full((2, 2), 2.0, np.float32), np.zeros((2, 2), bool))
    large = (np.full((40, 50), -2.0, np.float32), np.zeros((40, 50), bool))
    found = PixelCalibration(table_of({"a": [small, large]}), [1.0])(np.array([[1.0, 1.0], [0.0, 1.0]]))
    wrong = [expit(2.0), expit(-2.0)]
    assert found["ece"][:, 0].tolist() == pytest.approx([np.mean(wrong), wrong[1]], abs=0.018)


def test_intervals_are_those_of_patients() -> None:
    made = images(30)
    patients = [number // 3 for number in range(30)]
    table = table_of({"a": [*made]}, patients)
    result = evaluate_segmentation(table, resamples=200, seed=3)
    for name in ("dice", "hausdorff95", "predicted_area"):
        wanted = bootstrap_interval(table.scores[name], clusters=patients, resamples=200, seed=3)
        assert result["classes"]["a"][name] == pytest.approx(list(wanted))
    low, high = result["classes"]["a"]["ece"][1:]
    assert low < result["classes"]["a"]["ece"][0] < high
    assert (result["samples"], result["patients"]) == (30, 10)
    assert result["subgroups"]["site"]["A"]["samples"] == 15
    part = [table.scores["dice"][n] for n in range(0, 30, 2)]
    assert result["subgroups"]["site"]["A"]["dice"][0] == pytest.approx(np.mean(part))
    assert "hausdorff95_mm" not in result["mean"]


def test_means_are_over_classes_and_leave_out_what_is_not_there() -> None:
    nothing, silent = np.zeros(SHAPE, bool), np.full(SHAPE, -1.0, np.float32)
    alarm = np.where(np.arange(20) < 5, 1, -1).repeat(24).reshape(20, 24).T.astype(np.float32)
    there = np.zeros(SHAPE, bool)
    there[:12] = True
    truth = np.where(there, 1, -1).astype(np.float32)
    table = table_of(
        {
            "drawn": [(truth, there), (truth, there), (silent, there), (silent, nothing)],
            "absent": [(silent, nothing), (alarm, nothing), (silent, nothing), None],
        }
    )
    result = evaluate_segmentation(table, resamples=20)
    drawn, absent, mean = result["classes"]["drawn"], result["classes"]["absent"], result["mean"]
    assert [drawn[key] for key in ("present", "absent", "unknown", "missed")] == [3, 1, 0, 1]
    assert [absent[key] for key in ("present", "absent", "unknown", "missed")] == [0, 3, 1, 0]
    assert drawn["dice"][0] == pytest.approx(2 / 3) and drawn["found"][0] == pytest.approx(2 / 3)
    assert drawn["official_dice"][0] == pytest.approx(3 / 4)
    assert drawn["hausdorff95"][0] == 0 and drawn["precision"][0] == 1  # of the two where something was predicted
    assert math.isnan(absent["dice"][0]) and absent["false_alarm"][0] == pytest.approx(1 / 3)
    assert absent["official_dice"][0] == pytest.approx(2 / 3)
    assert mean["dice"][0] == pytest.approx(2 / 3) and mean["false_alarm"][0] == pytest.approx(1 / 6)
    assert mean["official_dice"][0] == pytest.approx((3 / 4 + 2 / 3) / 2)
    notes = " ".join(result["notes"])
    assert "drawn (1)" in notes and "absent (1)" in notes and "without Dice and distance: absent" in notes


def test_nothing_to_judge_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to judge"):
        evaluate_segmentation(table_of({"a": [None]}))


def test_points_call_a_calibrated_score() -> None:
    """Logits that are too low: the best cut is below a half, whatever the temperature."""
    made = [(logits - 4, truth) for logits, truth in images(20, sharpness=3.0)]
    points = mask_points(table_of({"a": [*made]}))
    level = math.log(points["thresholds"]["a"] / (1 - points["thresholds"]["a"])) * points["temperature"]["a"]
    cut = table_of({"a": [*made]}, level=level)
    dice = cut.scores["dice"].mean()
    assert level < 0 and dice > table_of({"a": [*made]}).scores["dice"].mean() + 0.05
    result = evaluate_segmentation(cut, points | {"section": "validation"}, resamples=10)
    assert result["classes"]["a"]["threshold"] == pytest.approx(points["thresholds"]["a"])
    assert result["calibration"]["temperature"] == points["temperature"]
    assert result["classes"]["a"]["ece"] == result["calibration"]["after"]["ece"]
    assert result["classes"]["a"]["dice"][0] == pytest.approx(dice)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.array([[9, 4, 3, 4]])}, "'i0': no masks have the counts"),
        ({"places": np.array([1])}, "numbers of the 1 classes"),
        ({"groups": ()}, "1 ids, but other numbers"),
        ({"classes": ("a", "a")}, "different names"),
    ],
)
def test_table_refuses_what_cannot_be(change: dict[str, Any], message: str) -> None:
    table = table_of({"a": [*images(1)]})
    with pytest.raises(ValueError, match=message):
        SegmentationTable(**{name: getattr(table, name) for name in table.__dataclass_fields__} | change)


def test_table_refuses_an_image_twice_and_one_without_facts() -> None:
    table = table_of({"a": [*images(1)]})
    with pytest.raises(ValueError, match="'i0': the class a occurs twice"):
        table.take(np.array([0, 0]))
    logits, truth = images(1)[0]
    rows = {"x": [judge_mask(0, torch.from_numpy(logits), torch.from_numpy(truth))]}
    with pytest.raises(ValueError, match="nothing is known of 1 images, e.g. id 'x'"):
        SegmentationTable.of(rows, {}, ["a"])


def test_pictures_of_too_many_classes_are_those_that_went_worst(tmp_path: Any) -> None:
    from PIL import Image as Pictures

    path, mask = tmp_path / "i.png", tmp_path / "m.png"
    Pictures.fromarray(np.full(SHAPE, 99, np.uint8)).save(path)
    truth = np.zeros(SHAPE, bool)
    truth[4:20, 4:16] = True
    Pictures.fromarray(truth.astype(np.uint8)).save(mask)
    names = [f"c{number}" for number in range(10)]
    rows: dict[str, list[MaskRow]] = {"i0": []}
    for place in range(10):
        seen = truth & (np.arange(SHAPE[0]) < 20 - place)[:, None]  # the higher the number, the worse
        logits = torch.from_numpy(np.where(seen, 1, -1).astype(np.float32))
        rows["i0"].append(judge_mask(place, logits, torch.from_numpy(truth)))
    table = SegmentationTable.of(rows, {"i0": Facts(0)}, names)
    item = {"id": "i0", "image": str(path), "targets": {name: {"masks": [str(mask)], "boxes": []} for name in names}}
    (grid,) = mask_pictures(table, rows, {"i0": item})
    pictures = [row[0] for row in grid.rows if row[0] is not None]
    assert [one.caption.split(",")[0] for one in pictures] == names[2:] and "2 further" in grid.text
    picture = np.asarray(pictures[0].image)
    assert picture.shape == (*SHAPE, 3)
    assert picture[19, 8].tolist() == pytest.approx([0.25, 0.9, 1.0])  # the true border, which was not reached
    assert picture[17, 8].tolist() == pytest.approx([1.0, 0.2, 0.8])  # the predicted one
    assert picture[10, 8].tolist() == pytest.approx([99 / 255] * 3)  # the inside stays an image
