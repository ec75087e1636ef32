# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import select_boxes


def rows(*values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor([values])


def test_repeats_of_a_class_are_suppressed_and_other_classes_are_not() -> None:
    pred = rows(
        (10, 10, 30, 30, 0.7, 0.0),
        (10, 10, 30, 31, 0.9, 0.0),  # the same, scored higher
        (11, 10, 30, 30, 0.0, 0.8),  # the same place, the other class
        (50, 50, 60, 60, 0.3, 0.0),
    )
    boxes, scores, classes = select_boxes(pred, 64)
    assert boxes[0].tolist() == [[10, 10, 30, 31], [11, 10, 30, 30], [50, 50, 60, 60]]
    torch.testing.assert_close(scores[0], torch.tensor([0.9, 0.8, 0.3]))
    assert classes[0].tolist() == [0, 1, 0]


def test_threshold_and_number_of_detections_are_kept() -> None:
    pred = torch.tensor([[[9.0 * i, 0, 9.0 * i + 8, 8, 0.1 * i] for i in range(1, 7)]])
    assert [len(x[0]) for x in select_boxes(pred, 64, score_threshold=0.35)] == [3, 3, 3]
    boxes, scores, _ = select_boxes(pred, 64, max_detections=2)
    torch.testing.assert_close(scores[0], torch.tensor([0.6, 0.5]))
    assert boxes[0][:, 0].tolist() == [54, 45]


def test_boxes_are_cut_at_the_border_and_empty_or_undefined_ones_dropped() -> None:
    nan, inf = float("nan"), float("inf")
    pred = rows(
        (-5, -5, 20, 70, 0.9),
        (70, 70, 80, 80, 0.8),  # outside
        (nan, 0, 10, 10, 0.7),
        (0, 0, inf, 10, 0.7),
        (30, 0, 40, 10, nan),
    )
    boxes, scores, classes = select_boxes(pred, 64)
    assert boxes[0].tolist() == [[0, 0, 20, 64]]
    assert scores[0].shape == classes[0].shape == (1,)


def test_an_image_in_which_nothing_is_found_gives_empty_tensors() -> None:
    boxes, scores, classes = select_boxes(torch.zeros(2, 7, 6).requires_grad_(), 64)
    for number in range(2):
        assert boxes[number].shape == (0, 4) and scores[number].shape == classes[number].shape == (0,)
        assert classes[number].dtype == torch.int64 and not boxes[number].requires_grad


@pytest.mark.parametrize("settings", [{"score_threshold": 1.5}, {"nms_iou": -0.1}, {"max_detections": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        select_boxes(torch.zeros(1, 1, 5), 64, **settings)  # type: ignore[arg-type]


def test_a_tensor_that_holds_no_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="4 \\+ K"):
        select_boxes(torch.zeros(1, 3, 4), 64)
