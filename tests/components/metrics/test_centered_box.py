# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The centered box is the same prediction under every protocol, and points at the center."""

from __future__ import annotations

import pytest
import torch

from radbundles.components.metrics import PROTOCOLS, GroundingProtocol, centered_box_map, grounding_score

SCALES = [*PROTOCOLS.values(), GroundingProtocol(name="p", scale="probability")]


@pytest.mark.parametrize("protocol", SCALES, ids=str)
def test_prediction_is_the_box_at_all_thresholds(protocol: GroundingProtocol) -> None:
    image = centered_box_map(80, 40)
    box = torch.zeros(80, 40, dtype=torch.bool)
    box[20:60, 10:30] = True
    scores = grounding_score(image, box, protocol)
    assert scores["iou"] == scores["dice"] == scores["pointing"] == 1


def test_box_has_its_share_of_the_area() -> None:
    for share in (0.1, 0.25, 0.64):
        assert (centered_box_map(300, 200, share) > 0).double().mean() == pytest.approx(share, abs=0.01)


def test_box_that_overlaps_a_mask_does_not_point_into_it() -> None:
    mask = torch.zeros(80, 40, dtype=torch.bool)
    mask[22:30, 12:18] = True
    assert grounding_score(centered_box_map(80, 40), mask)["pointing"] == 0


def test_map_is_symmetric_also_at_odd_sides() -> None:
    image = centered_box_map(31, 17)
    assert torch.equal(image, image.flip(0)) and torch.equal(image, image.flip(1))
    assert (image == image.max()).sum() == 1 and image[15, 8] == 1


@pytest.mark.parametrize("arguments", [(0, 4), (4, 4, 0.0), (4, 4, 1.0)])
def test_wrong_arguments_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="share between 0 and 1"):
        centered_box_map(*arguments)
