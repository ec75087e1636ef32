# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Average precision and recall against the COCO API and MONAI, FROC against MONAI, the rest by hand."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

from radbundles.components.metrics import (
    COCO_IOUS,
    FROC_RATES,
    OFFICIAL_IOUS,
    ImageBoxes,
    Matches,
    coco_scores,
    froc_sensitivity,
    match_boxes,
    official_ecamp_map,
)
from radbundles.components.metrics import detection_scores as scores_module
from radbundles.components.metrics.detection_matches import box_ious
from radbundles.components.metrics.detection_scores import (
    average_precision,
    average_recall,
    best_f1_threshold,
    class_mean,
    cut_scores,
)

IOUS = (*OFFICIAL_IOUS[:2], *COCO_IOUS)
BOX = [10.0, 10.0, 30.0, 30.0]
FAR = [50.0, 50.0, 60.0, 60.0]


def image(
    detections: Sequence[tuple[int, float, Sequence[float]]] = (), truths: Sequence[tuple[int, Sequence[float]]] = ()
) -> ImageBoxes:
    """An image of detections (class, score, box) and true boxes (class, box)."""
    return ImageBoxes(
        boxes=np.array([box for _, _, box in detections], float).reshape(-1, 4),
        scores=np.array([score for _, score, _ in detections], float),
        classes=np.array([number for number, _, _ in detections], np.intp),
        truths=np.array([box for _, box in truths], float).reshape(-1, 4),
        truth_classes=np.array([number for number, _ in truths], np.intp),
    )


def random_images(
    seed: int, *, images: int = 30, classes: Sequence[int] = (0, 1, 2), ties: bool = False, crowd: int = 6
) -> list[ImageBoxes]:
    """Images with true boxes, near and far detections, and some without the one, the other, or both."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(images):
        truths = [(int(rng.choice(classes)), _box(rng)) for _ in range(rng.integers(crowd) * (rng.random() < 0.7))]
        detections: list[tuple[int, float, Any]] = []
        for number, box in truths:
            for _ in range(rng.integers(4)):
                shaken = np.array(box) + rng.integers(-4, 5, 4)
                shaken[2:] = np.maximum(shaken[2:], shaken[:2] + 1)
                detections.append((number if rng.random() < 0.9 else int(rng.choice(classes)), 0.0, shaken))
        detections += [(int(rng.choice(classes)), 0.0, _box(rng)) for _ in range(rng.integers(crowd))]
        scores = rng.random(len(detections))
        scores = (scores * 5).round() / 5 if ties else scores
        detections = [(n, float(s), b) for (n, _, b), s in zip(detections, scores, strict=True)]
        rng.shuffle(detections)
        found.append(image(detections if rng.random() < 0.85 else [], truths))
    return found


def _box(rng: np.random.Generator) -> list[float]:
    x, y, w, h = rng.integers([0, 0, 8, 8], [60, 60, 40, 40])
    return [float(x), float(y), float(x + w), float(y + h)]


def coco_api(
    images: Sequence[ImageBoxes], classes: int, ious: Sequence[float], max_detections: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and recall [T, K] by pycocotools; nan where it says -1."""
    coco: Any = pytest.importorskip("pycocotools.coco")
    cocoeval: Any = pytest.importorskip("pycocotools.cocoeval")
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, row in enumerate(images, start=1):
        for box, kind in zip(row.truths, row.truth_classes, strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            entry: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(kind) + 1,
                "iscrowd": 0,
            }
            annotations.append(entry | {"bbox": [x, y, w, h], "area": w * h})
        for box, score, kind in zip(row.boxes, row.scores, row.classes, strict=True):
            entry = {"image_id": number, "category_id": int(kind) + 1, "score": float(score)}
            results.append(entry | {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]})
    truth = coco.COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(1, len(images) + 1)],
        "categories": [{"id": number} for number in range(1, classes + 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if not results:  # loadRes cannot take an empty list
            results = [{"image_id": 1, "category_id": classes + 1, "score": 0.0, "bbox": [0, 0, 1, 1]}]
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array(ious)
        evaluation.params.maxDets = [max_detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][:, :, :, 0, 0], evaluation.eval["recall"][:, :, 0, 0]
    precision = precision.mean(axis=1)  # [T, K]
    return np.where(precision < 0, np.nan, precision), np.where(recall < 0, np.nan, recall)


def ones(images: Sequence[ImageBoxes]) -> np.ndarray:
    return np.ones((1, len(images)))


def ours(images: Sequence[ImageBoxes], classes: int, ious: Sequence[float] = IOUS, top: int = 100) -> list[np.ndarray]:
    """Average precision and recall [T, K]."""
    per_class = [match_boxes(images, number, ious, max_detections=top) for number in range(classes)]
    found = [
        [function(matches, ones(images))[0] for matches in per_class]
        for function in (average_precision, average_recall)
    ]
    return [np.stack(columns, axis=1) for columns in found]


EDGES = {
    "no image has a box": [image([(0, 0.9, BOX)]), image()],
    "no image has a detection": [image([], [(0, BOX)]), image()],
    "nothing at all": [image(), image()],
    "a class without truth": [image([(1, 0.9, BOX), (0, 0.3, BOX)], [(0, BOX)])],
    "a class without detections": [image([(0, 0.3, BOX)], [(0, BOX), (1, FAR)])],
    "found twice": [image([(0, 0.9, BOX), (0, 0.8, BOX)], [(0, BOX)])],
    "two on one place": [image([(0, 0.9, BOX), (0, 0.8, BOX)], [(0, BOX), (0, BOX)])],
    "better overlap comes later": [
        image([(0, 0.9, [10, 10, 30, 28]), (0, 0.8, BOX)], [(0, BOX), (0, [10, 10, 30, 26])])
    ],
    "overlap exactly on the limit": [
        image([(0, 0.9, [0, 0, 5, 10]), (1, 0.9, [0, 0, 6, 10])], [(0, [0, 0, 10, 10]), (1, [0, 0, 10, 10])])
    ],
    "a detection without area": [image([(0, 0.9, [10, 10, 10, 30]), (0, 0.5, BOX)], [(0, BOX)])],
    "false alarm elsewhere is surer": [image([(0, 0.5, BOX)], [(0, BOX)]), image([(0, 0.9, FAR)])],
}


@pytest.mark.parametrize("images", EDGES.values(), ids=EDGES.keys())
def test_edge_cases_agree_with_the_coco_api(images: list[ImageBoxes]) -> None:
    for found, expected in zip(ours(images, 2), coco_api(images, 2, IOUS), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_random_images_agree_with_the_coco_api(seed: int, ties: bool) -> None:
    images = random_images(seed, classes=(0, 1, 3), ties=ties)  # class 2 never occurs
    found, expected = ours(images, 4), coco_api(images, 4, IOUS)
    assert np.isnan(expected[0][:, 2]).all() and np.nanmax(expected[0]) > 0.1
    for own, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-12)


def test_detections_beyond_the_most_of_an_image_do_not_count() -> None:
    images = random_images(3, crowd=12)
    for top in (1, 3):
        for own, theirs in zip(ours(images, 3, top=top), coco_api(images, 3, IOUS, top), strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-12)
    assert (ours(images, 3, top=1)[1] < ours(images, 3)[1]).any()


def test_coco_figures_are_those_of_the_api_and_of_monai(caplog: pytest.LogCaptureFixture) -> None:
    images = random_images(11)
    found = coco_scores([match_boxes(images, number, IOUS) for number in range(3)], ones(images))
    precision, recall = coco_api(images, 3, COCO_IOUS)
    np.testing.assert_allclose(found["ap"][0], precision.mean(axis=0))
    np.testing.assert_allclose(found["ap50"][0], precision[0])
    np.testing.assert_allclose(found["ap75"][0], precision[5])
    np.testing.assert_allclose(found["ar100"][0], recall.mean(axis=0))

    metric = COCOMetric(["0", "1", "2"], iou_list=[0.5, 0.75], iou_range=[0.5, 0.95, 0.05], max_detection=[100])
    matched = matching_batch(
        iou_fn=box_ious,
        iou_thresholds=list(metric.iou_thresholds),
        pred_boxes=[row.boxes for row in images],
        pred_classes=[row.classes for row in images],
        pred_scores=[row.scores for row in images],
        gt_boxes=[row.truths for row in images],
        gt_classes=[row.truth_classes for row in images],
    )
    with caplog.at_level(logging.ERROR):
        theirs = metric(matched)[0]
    for number in range(3):
        assert found["ap"][0, number] == pytest.approx(theirs[f"{number}_mAP_IoU_0.50_0.95_0.05_MaxDet_100"], abs=1e-6)
        assert found["ap50"][0, number] == pytest.approx(theirs[f"{number}_AP_IoU_0.50_MaxDet_100"], abs=1e-6)
        assert found["ar100"][0, number] == pytest.approx(
            theirs[f"{number}_mAR_IoU_0.50_0.95_0.05_MaxDet_100"], abs=1e-6
        )


def test_a_class_without_truth_is_left_out_of_the_mean() -> None:
    assert class_mean(np.array([[0.2, np.nan, 0.4], [np.nan] * 3])) == pytest.approx([0.3, np.nan], nan_ok=True)


def test_a_weighting_is_the_set_in_which_images_come_as_often() -> None:
    images = random_images(5)
    weights = np.random.default_rng(0).integers(0, 4, (6, len(images))).astype(float)
    weights[5] = [not len(row.truths) for row in images]  # no true box is drawn
    for number in range(3):
        matches = match_boxes(images, number, IOUS)
        precision, recall = average_precision(matches, weights), average_recall(matches, weights)
        froc = froc_sensitivity(matches, 0.5, weights)
        cut = cut_scores(matches, 0.5, 0.35, weights)
        for r, row in enumerate(weights):
            drawn = [entry for entry, count in zip(images, row, strict=True) for _ in range(int(count))]
            again = match_boxes(drawn, number, IOUS)
            np.testing.assert_allclose(precision[r], average_precision(again, ones(drawn))[0])
            np.testing.assert_allclose(recall[r], average_recall(again, ones(drawn))[0])
            np.testing.assert_allclose(froc[r], froc_sensitivity(again, 0.5, ones(drawn))[0])
            for name, value in cut_scores(again, 0.5, 0.35, ones(drawn)).items():
                assert cut[name][r] == pytest.approx(value[0], nan_ok=True), name
        assert np.isnan(precision[5]).all() and np.isnan(froc[5]).all() and np.isnan(cut["f1"][5])


def test_resamples_do_not_change_with_the_memory_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(2)
    weights = np.random.default_rng(0).integers(0, 3, (7, len(images))).astype(float)
    matches = match_boxes(images, 0, IOUS)
    whole = average_precision(matches, weights), froc_sensitivity(matches, 0.5, weights)
    monkeypatch.setattr(scores_module, "_BLOCK", 3 * int(matches.hits.any(axis=0).sum()))
    np.testing.assert_array_equal(average_precision(matches, weights), whole[0])
    np.testing.assert_array_equal(froc_sensitivity(matches, 0.5, weights), whole[1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_froc_agrees_with_monai(seed: int, ties: bool) -> None:
    images = random_images(seed, ties=ties)
    matches = match_boxes(images, 0, [0.5])
    hit = matches.hits[0]
    # MONAI leaves out the lowest score, since it expects one of 0 for every missed box.
    found = np.append(matches.scores[hit], -1.0)
    curve = compute_froc_curve_data(matches.scores[~hit], found, int(matches.truths.sum()), len(images))
    for rate in FROC_RATES:
        own = froc_sensitivity(matches, 0.5, ones(images), [rate])[0, 0]
        assert own == pytest.approx(compute_froc_score(*curve, eval_thresholds=(rate,)))


def test_froc_by_hand() -> None:
    images = [image([(0, 0.9, BOX), (0, 0.7, FAR)], [(0, BOX)]), image([(0, 0.5, BOX)], [(0, BOX), (0, FAR)])]
    matches = match_boxes(images, 0, [0.5])
    # (0, 1/3) from 0.9 on, (1/2, 1/3) from 0.7 on, (1/2, 2/3) from 0.5 on
    assert froc_sensitivity(matches, 0.5, ones(images), (0.25, 0.5, 8))[0] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    nothing = match_boxes([image([], [(0, BOX)])], 0, [0.5])
    assert froc_sensitivity(nothing, 0.5, np.ones((1, 1)))[0].tolist() == [0.0] * 7
    with pytest.raises(ValueError, match="not of 0.3"):
        froc_sensitivity(matches, 0.3, ones(images))


def test_scores_at_a_cut_by_hand() -> None:
    images = [
        image([(0, 0.9, BOX), (0, 0.8, FAR)], [(0, BOX)]),
        image([(0, 0.6, BOX), (0, 0.2, FAR)], [(0, BOX), (0, FAR)]),
        image([(0, 0.7, BOX)]),
        image([(0, 0.3, BOX)]),
    ]
    found = cut_scores(match_boxes(images, 0, [0.5]), 0.5, 0.6, ones(images))
    assert {name: value[0] for name, value in found.items()} == pytest.approx(
        {"sensitivity": 2 / 3, "precision": 2 / 4, "f1": 4 / 7, "false_alarms": 2 / 4, "clean_negatives": 1 / 2}
    )
    nothing = cut_scores(match_boxes(images, 0, [0.5]), 0.5, 0.95, ones(images))
    assert np.isnan(nothing["precision"][0]) and (nothing["sensitivity"][0], nothing["f1"][0]) == (0, 0)


def test_the_threshold_of_the_best_f1_is_found_among_all() -> None:
    for seed in range(6):
        images = random_images(seed, ties=seed % 2 == 0)
        matches = match_boxes(images, 1, [0.5])
        cut = best_f1_threshold(matches, 0.5)
        assert cut is not None
        tried = [cut_scores(matches, 0.5, score, ones(images))["f1"][0] for score in matches.scores]
        assert cut_scores(matches, 0.5, cut, ones(images))["f1"][0] == max(tried)
        assert (
            cut_scores(matches, 0.5, cut, ones(images))["f1"]
            == cut_scores(matches, 0.5, cut - 1e-9, ones(images))["f1"]
        )


def test_without_a_hit_there_is_no_threshold() -> None:
    assert best_f1_threshold(match_boxes([image([(0, 0.9, FAR)], [(0, BOX)])], 0, [0.5]), 0.5) is None
    assert best_f1_threshold(match_boxes([image([], [(0, BOX)])], 0, [0.5]), 0.5) is None
    only = match_boxes([image([(0, 0.9, BOX)], [(0, BOX)])], 0, [0.5])
    assert best_f1_threshold(only, 0.5) == 0.9


def test_the_official_map_is_that_of_the_images_it_looks_at() -> None:
    """Quirk Q37."""
    for seed in range(4):
        images = random_images(seed, classes=(0, 1))
        sure = [
            row._replace(
                boxes=row.boxes[row.scores >= 0.5],
                scores=row.scores[row.scores >= 0.5],
                classes=row.classes[row.scores >= 0.5],
            )
            for row in images
        ]
        looked_at = [row for row in sure if len(row.truths) and len(row.scores)]
        assert 0 < len(looked_at) < len(images)
        expected = np.nanmean(coco_api(looked_at, 2, OFFICIAL_IOUS)[0])
        per_class = [match_boxes(images, number, IOUS) for number in range(2)]
        assert official_ecamp_map(per_class, ones(images))[0] == pytest.approx(expected)


def test_the_official_map_flatters() -> None:
    right = image([(0, 0.9, BOX)], [(0, BOX)])
    images = [right, image([(0, 0.95, BOX)]), image([], [(0, BOX)])]
    per_class = [match_boxes(images, 0, IOUS)]
    assert official_ecamp_map(per_class, ones(images))[0] == pytest.approx(1)
    assert coco_scores(per_class, ones(images))["ap50"][0, 0] == pytest.approx(0.5 * 51 / 101)
    assert np.isnan(official_ecamp_map([match_boxes(images[1:], 0, IOUS)], ones(images[1:]))[0])


def test_matches_of_some_images_are_those_of_these_images() -> None:
    images = random_images(7)
    rows = np.array([3, 4, 9, 20, 21])
    taken, alone = match_boxes(images, 2, IOUS).take(rows), match_boxes([images[row] for row in rows], 2, IOUS)
    for name in ("scores", "images", "hits", "truths"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(alone, name))
    above = match_boxes(images, 2, IOUS).above(0.4)
    assert isinstance(above, Matches) and above.scores.min() >= 0.4 and len(above.truths) == len(images)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [({"ious": []}, "ious"), ({"ious": [0.0]}, "ious"), ({"max_detections": 0}, "max_detections")],
)
def test_arguments_are_checked(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        match_boxes([image()], 0, **arguments)  # type: ignore[arg-type]
