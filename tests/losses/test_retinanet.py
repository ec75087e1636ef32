# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.apps.detection.networks import retinanet_detector
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from monai.losses import BoxGIoULoss, FocalLoss

from radbundles.losses import EveryBoxMatcher, RetinaNetLoss

SIDES, RATIOS, SIZE = ((8.0, 12.0), (20.0, 30.0), (44.0, 60.0)), (1.0, 2.0), 64
BOXES = [torch.tensor([[5.0, 4, 23, 54], [40, 5, 59, 45]]), torch.zeros(0, 4), torch.tensor([[10.0, 12, 19, 20]])]
KINDS = [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64), torch.tensor([1])]


def heads(images: int = 3, classes: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    make = AnchorGenerator(SIDES, (RATIOS,) * 3, indexing="xy")  # type: ignore[arg-type]
    grids = (8, 4, 2)
    levels = make.grid_anchors([[g, g] for g in grids], [[torch.tensor(SIZE // g)] * 2 for g in grids])
    anchors = torch.cat(levels)
    return {
        "logits": torch.randn(images, len(anchors), classes, generator=generator).requires_grad_(),
        "deltas": (0.3 * torch.randn(images, len(anchors), 4, generator=generator)).requires_grad_(),
        "anchors": anchors,
        "level_anchors": tuple(map(len, levels)),
        "cell_anchors": 4,
    }


class FocalPerMatch(torch.nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return FocalLoss(gamma=2.0, alpha=0.25, reduction="none")(logits, target).sum() / target.sum()


def test_loss_is_that_of_monais_detector_which_needs_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        """In the place of torchvision's matcher."""

    monkeypatch.setattr(retinanet_detector, "Matcher", Nothing)
    outputs = heads()
    ours = RetinaNetLoss()(outputs, BOXES, KINDS)

    make = AnchorGenerator(SIDES, (RATIOS,) * 3, indexing="xy")  # type: ignore[arg-type]
    detector = retinanet_detector.RetinaNetDetector(torch.nn.Identity(), make, spatial_dims=2, num_classes=2)
    detector.proposal_matcher = EveryBoxMatcher()
    detector.set_cls_loss(FocalPerMatch())
    detector.set_box_regression_loss(BoxGIoULoss(), encode_gt=False, decode_pred=True)
    theirs = detector.compute_loss(
        {"classification": outputs["logits"], "box_regression": outputs["deltas"]},
        [{"boxes": own, "labels": kinds} for own, kinds in zip(BOXES, KINDS, strict=True)],
        [outputs["anchors"]] * 3,
        [64, 16, 4],
    )
    torch.testing.assert_close(ours["classification"], theirs["classification"])
    torch.testing.assert_close(ours["box"], theirs["box_regression"])
    torch.testing.assert_close(ours["loss"], ours["classification"] + ours["box"])


def test_two_findings_in_one_region_are_both_learned() -> None:
    outputs = heads(1)
    box = torch.tensor([[10.0, 10, 40, 40]])
    loss = RetinaNetLoss()(outputs, [box.repeat(2, 1)], [torch.tensor([0, 1])])
    gradient = torch.autograd.grad(loss["classification"], outputs["logits"])[0][0]
    rising = gradient < 0  # the score of these shall rise
    assert rising[:, 0].any() and torch.equal(rising[:, 0], rising[:, 1])


def test_an_anchor_of_two_classes_learns_the_place_of_the_better_overlapping_box() -> None:
    outputs = heads(1)
    far, near = torch.tensor([[8.0, 8, 48, 48]]), torch.tensor([[10.0, 10, 40, 40]])
    loss = RetinaNetLoss()
    _, _, anchor, truth = loss._targets(outputs, [torch.cat([far, near])], [torch.tensor([0, 1])])
    quality = torch.as_tensor(loss.matcher.similarity_fn(torch.cat([far, near]), outputs["anchors"]))[:, anchor]
    shared = [i for i in range(len(anchor)) if min(quality[:, i]) > 0.4]
    assert shared and len(anchor.unique()) == len(anchor)
    for i in shared:
        assert torch.equal(truth[i], torch.cat([far, near])[quality[:, i].argmax()])


def test_images_without_boxes_teach_that_there_is_nothing_and_leave_no_weight_out() -> None:
    outputs = heads(2)
    result = RetinaNetLoss()(outputs, BOXES[1:2] * 2, KINDS[1:2] * 2)
    assert result["box"] == 0 < result["classification"]
    result["loss"].backward()
    assert (outputs["logits"].grad > 0).all()
    assert (outputs["deltas"].grad == 0).all()  # there, and zero


def test_box_weight_and_prior_count_as_said() -> None:
    outputs = heads()
    once, twice = (RetinaNetLoss(box_weight=weight)(outputs, BOXES, KINDS) for weight in (1, 2))
    torch.testing.assert_close(twice["loss"] - once["loss"], once["box"])
    silent = {**heads(1, 1), "logits": torch.full_like(heads(1, 1)["logits"], -math.log(99))}  # a score of 0.01
    result = RetinaNetLoss()(silent, BOXES[1:2], KINDS[1:2])
    expected = 0.75 * 0.01**2 * -math.log(0.99) * len(silent["anchors"])
    torch.testing.assert_close(result["loss"], torch.tensor(expected))


def test_half_precision_outputs_are_scored_in_full() -> None:
    outputs = heads()
    low = {**outputs, "logits": outputs["logits"].bfloat16(), "deltas": outputs["deltas"].bfloat16()}
    with torch.autocast("cpu", torch.bfloat16):
        result = RetinaNetLoss()(low, BOXES, KINDS)
    assert {value.dtype for value in result.values()} == {torch.float32}
    torch.testing.assert_close(result["loss"], RetinaNetLoss()(outputs, BOXES, KINDS)["loss"], rtol=0.02, atol=0)
