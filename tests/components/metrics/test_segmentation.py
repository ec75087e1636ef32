# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import (
    ConfusionMatrixMetric,
    DiceMetric,
    HausdorffDistanceMetric,
    MeanIoU,
    compute_hausdorff_distance,
)
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit

from radbundles.components.metrics.segmentation import OVERLAP_SCORES, overlap_scores
from radbundles.components.metrics.segmentation_distance import hausdorff_distance
from radbundles.components.metrics.segmentation_histogram import (
    LEVELS,
    counts_at_levels,
    logit_histogram,
    logits_of_bins,
)

# MONAI's Hausdorff distance passes an argument that MONAI itself gave up.
pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

Bools = NDArray[np.bool_]


def blobs(seed: int, shape: tuple[int, int] = (37, 53), cut: float = 0.0) -> Bools:
    """A random mask of smooth regions, some of which touch the border."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return np.asarray(values > cut * values.std())


def scores_of(truth: Bools, predicted: Bools) -> dict[str, float]:
    counts = (truth.size, truth.sum(), predicted.sum(), (truth & predicted).sum())
    return {name: float(value) for name, value in overlap_scores(*counts).items()}


def monai(truth: Bools, predicted: Bools) -> dict[str, float]:
    """The same scores by MONAI."""
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth)]
    metrics = {
        "dice": DiceMetric(),
        "iou": MeanIoU(),
        "sensitivity": ConfusionMatrixMetric(metric_name="sensitivity"),
        "precision": ConfusionMatrixMetric(metric_name="precision"),
        "hausdorff95": HausdorffDistanceMetric(include_background=True, percentile=95),
    }
    found = {}
    for name, metric in metrics.items():
        metric(*pair)
        value = metric.aggregate()
        found[name] = float(value[0] if isinstance(value, list) else value)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_monai_on_random_masks(seed: int) -> None:
    truth, predicted = blobs(seed, cut=0.3), blobs(seed, cut=0.1) ^ blobs(seed + 100, cut=1.8)
    wanted = monai(truth, predicted)
    found = scores_of(truth, predicted) | {"hausdorff95": hausdorff_distance(truth, predicted)}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_agrees_with_monai_where_masks_touch_or_miss_each_other() -> None:
    corner, far, whole = np.zeros((3, 20, 30), bool)
    corner[:3, :4], far[15:, 25:], whole[:] = True, True, True
    for truth, predicted in ((corner, corner), (corner, far), (corner, whole), (whole, far)):
        wanted = monai(truth, predicted)
        found = scores_of(truth, predicted) | {"hausdorff95": hausdorff_distance(truth, predicted)}
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_empty_truth_scores_false_alarms_alone() -> None:
    nothing, something = np.zeros((8, 8), bool), blobs(0, (8, 8))
    silent, alarmed = scores_of(nothing, nothing), scores_of(nothing, something)
    assert (silent["false_alarm"], alarmed["false_alarm"]) == (0, 1)
    assert (silent["official_dice"], alarmed["official_dice"]) == (1, 0)
    assert alarmed["predicted_area"] == something.mean()
    for name in ("dice", "iou", "sensitivity", "precision", "found"):
        assert math.isnan(silent[name]) and math.isnan(alarmed[name])


def test_empty_prediction_of_something_scores_zero() -> None:
    missed = scores_of(blobs(0, (8, 8)), np.zeros((8, 8), bool))
    for name in ("dice", "iou", "sensitivity", "found", "official_dice", "predicted_area"):
        assert missed[name] == 0
    assert math.isnan(missed["precision"]) and math.isnan(missed["false_alarm"])
    assert tuple(overlap_scores(1, 0, 0, 0)) == OVERLAP_SCORES


def test_distance_is_not_defined_to_an_empty_mask() -> None:
    mask, nothing = blobs(0), np.zeros((37, 53), bool)
    for pair in ((mask, nothing), (nothing, mask), (nothing, nothing)):
        assert math.isnan(hausdorff_distance(*pair))


@pytest.mark.parametrize("percentile", [50, 95, 100])
def test_distance_has_the_unit_of_the_spacing(percentile: float) -> None:
    truth, predicted = blobs(1), blobs(2)
    found, true = (torch.from_numpy(mask)[None, None] for mask in (predicted, truth))
    wanted = compute_hausdorff_distance(found, true, include_background=True, percentile=percentile, spacing=[0.2, 0.7])
    assert hausdorff_distance(truth, predicted, percentile=percentile, spacing=(0.2, 0.7)) == pytest.approx(
        float(wanted), rel=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5, 5), {"percentile": 0}, "percentile must be above 0"),
        ((5, 5), {"spacing": (1.0, 0.0)}, "spacing must be two numbers above 0"),
        ((5, 6), {}, "of one size"),
    ],
)
def test_distance_refuses_what_it_cannot_measure(shape: tuple[int, int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hausdorff_distance(np.ones(shape, bool), np.ones((5, 5), bool), **options)


def test_histogram_counts_every_pixel_at_its_level() -> None:
    random = torch.Generator().manual_seed(0)
    images = [
        (torch.randn(31, 17, generator=random) * scale, torch.from_numpy(blobs(scale, (31, 17)))) for scale in (1, 9)
    ]
    images[0][0][0] = 0  # on an edge is at the level
    histograms = [logit_histogram(logits, inside) for logits, inside in images]
    rows = np.repeat([0, 1], [len(histogram) for histogram in histograms])
    predicted, overlap = counts_at_levels(rows, np.concatenate(histograms), 2)
    for number, (logits, inside) in enumerate(images):
        above = logits[..., None] >= torch.from_numpy(LEVELS).float()  # [H, W, levels]
        assert (predicted[number] == above.sum((0, 1)).numpy()).all()
        assert (overlap[number] == (above & inside[..., None]).sum((0, 1)).numpy()).all()
        assert histograms[number][:, 1:].sum(0).tolist() == [int((~inside).sum()), int(inside.sum())]


def test_levels_hold_a_score_of_one_half_and_reach_from_one_to_nineteen_twentieths() -> None:
    assert 0 in LEVELS and (LEVELS == -LEVELS[::-1]).all()
    assert LEVELS[0] < logit(0.05) < logit(0.95) < LEVELS[-1]
    assert np.diff(expit(LEVELS)).max() < 0.035


def test_histogram_holds_logits_of_any_size() -> None:
    logits = torch.tensor([[-1e9, -100.0, 0.01, 1e9], [float("inf"), float("-inf"), -0.01, 31.99]])
    histogram = logit_histogram(logits, logits > 0)
    last, first = 2 ** (39.5 / 8) - 1, 2 ** (0.5 / 8) - 1
    assert logits_of_bins(histogram[:, 0]).tolist() == pytest.approx([-last, -first, first, last])
    assert histogram[:, 1:].tolist() == [[3, 0], [1, 0], [0, 1], [0, 3]]
    with pytest.raises(ValueError, match="not a number"):
        logit_histogram(torch.tensor([[0.0, float("nan")]]), torch.zeros(1, 2, dtype=torch.bool))
