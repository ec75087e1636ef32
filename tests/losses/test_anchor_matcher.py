# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher

from radbundles.losses import EveryBoxMatcher
from radbundles.networks import EncoderRetinaNet


class Encoder(torch.nn.Conv2d):
    out_channels, stride = 8, 8  # type: ignore[assignment]

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)


def anchors(size: int) -> tuple[torch.Tensor, list[int], int]:
    network = EncoderRetinaNet(Encoder(), 1, image_size=size, out_channels=8)
    each = network.retinanet.num_anchors
    return network.anchors, [count // each for count in network.level_anchors], each


def test_every_box_of_any_size_and_place_is_matched_with_something_near_its_best() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (64, 224):
        some, cells, each = anchors(size)
        corner = torch.rand(60, 2, generator=generator) * (size - 2)
        side = 1 + torch.rand(60, 2, generator=generator) ** 3 * (size - 1 - corner)
        boxes = torch.cat([corner, corner + side], dim=1)
        boxes = torch.cat([boxes, torch.tensor([[0.0, 0, size, size], [0, 0, 1, 1], [0, 0, size, 2]])])
        for box in boxes:  # each alone
            quality, matches = EveryBoxMatcher()(box[None], some, cells, each)
            matched = quality[0][matches == 0]
            assert len(matched) and matched.max() > 0.7 * quality.max()


def test_crowded_boxes_do_not_take_the_last_anchor_of_each_other() -> None:
    some, cells, each = anchors(64)
    box = torch.tensor([[20.0, 20, 44, 44]])
    crowd = torch.cat([box, box, box + 0.5, torch.tensor([[30.0, 30, 31, 31]])])
    quality, matches = EveryBoxMatcher()(crowd, some, cells, each)
    assert set(matches[matches >= 0].tolist()) == {0, 1, 2, 3}
    assert quality.shape == (4, len(some))
    _, monai = ATSSMatcher(4, center_in_gt=False)(crowd, some, cells, each)
    assert 1 not in monai  # the second of two equal boxes is lost there


def test_whole_image_is_matched_by_anchors_of_its_size_on_a_level_of_one_cell() -> None:
    some, cells, each = anchors(64)
    assert cells[-1] == 1
    whole = torch.tensor([[0.0, 0, 64, 64]])
    quality, matches = EveryBoxMatcher()(whole, some, cells, each)
    assert quality[0][matches == 0].max() == quality.max() > 0.95
    assert (matches[-each:] == 0).sum() > 1  # MONAI looks at one anchor of that cell


def test_nothing_is_matched_where_nothing_overlaps_or_there_is_no_box() -> None:
    some, cells, each = anchors(64)
    _, matches = EveryBoxMatcher()(torch.zeros(0, 4), some, cells, each)
    assert (matches == -1).all()
