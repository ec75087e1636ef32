# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from torch import nn

from radbundles.losses import DetectionObjective
from radbundles.networks import build_retinanet


class Encoder(nn.Sequential):
    """Convolutions, each halving the grid."""

    def __init__(self, dim: int = 16, stride: int = 8) -> None:
        self.out_channels, self.stride = dim, stride
        layers: list[nn.Module] = []
        for step in range(stride.bit_length() - 1):
            layers += [nn.Conv2d(dim if step else 3, dim, 3, stride=2, padding=1), nn.GroupNorm(1, dim), nn.GELU()]
        super().__init__(*layers)


def lungs(count: int, size: int, seed: int = 0) -> dict[str, Any]:
    """Two dark fields in a bright noisy square, and a box for each."""
    generator = np.random.default_rng(seed)
    image = torch.from_numpy(generator.normal(0.6, 0.05, (count, 1, size, size))).float().repeat(1, 3, 1, 1)
    boxes = torch.zeros(count, 2, 4)
    for number in range(count):
        for side in range(2):
            w, h, x, y = generator.uniform((0.25, 0.5, 0.05 + 0.5 * side, 0.05), (0.35, 0.8, 0.13 + 0.5 * side, 0.15))
            x0, y0, x1, y1 = (round(value * size) for value in (x, y, x + w, y + h))
            image[number, :, y0:y1, x0:x1] -= 0.5
            boxes[number, side] = torch.tensor([x0, y0, x1, y1])
    return {
        "image": (image - 0.5) * 4,
        "boxes": list(boxes),
        "box_classes": [torch.tensor([0, 1]) for _ in range(count)],
    }


def ap50(found: dict[str, Any], batch: dict[str, Any]) -> float:
    """By MONAI's COCO metric."""
    matches = matching_batch(
        iou_fn=box_iou,  # type: ignore[arg-type]
        iou_thresholds=[0.5],
        pred_boxes=[x.numpy() for x in found["boxes"]],
        pred_classes=[x.numpy() for x in found["box_classes"]],
        pred_scores=[x.numpy() for x in found["scores"]],
        gt_boxes=[x.numpy() for x in batch["boxes"]],
        gt_classes=[x.numpy() for x in batch["box_classes"]],
    )
    metric = COCOMetric(classes=["left", "right"], iou_list=[0.5], iou_range=(0.5, 0.5, 0.05), max_detection=[100])
    return float(metric(matches)[0]["AP_IoU_0.50_MaxDet_100"])


def overfit(objective: nn.Module, batch: dict[str, Any], steps: int, rate: float = 2e-3) -> dict[str, Any]:
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        result: dict[str, Any] = objective.eval()(batch)
    return result


def tiny(size: int = 64, classes: int = 2, **settings: Any) -> DetectionObjective:
    torch.manual_seed(0)
    network = build_retinanet(
        Encoder(), classes, image_size=size, **{"out_channels": 16, "strides": (8, 16, 32), **settings}
    )
    return DetectionObjective(network)


def test_lungs_of_a_few_images_are_found_after_overfitting() -> None:
    batch, objective = lungs(4, 64), tiny()
    with torch.no_grad():
        before = objective.eval()(batch)
    found = overfit(objective.train(), batch, 90)
    assert ap50(found, batch) > 0.95 > 0.3 > ap50(before, batch)
    pairs = zip(batch["boxes"], found["boxes"], strict=True)
    best = [torch.as_tensor(box_iou(truth, own[:2])).amax(dim=1) for truth, own in pairs]
    assert torch.cat(best).min() > 0.7


def test_training_gives_losses_and_evaluation_gives_sorted_boxes_too() -> None:
    batch, objective = lungs(2, 64), tiny()
    assert set(objective(batch)) == {"loss", "classification", "box"}
    result = objective.eval()(batch)
    assert set(result) == {"loss", "classification", "box", "boxes", "scores", "box_classes"}
    for boxes, scores, classes in zip(result["boxes"], result["scores"], result["box_classes"], strict=True):
        assert boxes.shape == (len(scores), 4) and len(scores) == len(classes)
        assert (scores.diff() <= 0).all() and classes.dtype == torch.int64


def test_boxes_that_do_not_fit_the_images_are_refused() -> None:
    batch, objective = lungs(2, 64), tiny()
    with pytest.raises(ValueError, match="2 images, but boxes of 1"):
        objective({**batch, "boxes": batch["boxes"][:1]})
    with pytest.raises(ValueError, match="image 1 of the batch"):
        objective({**batch, "box_classes": [torch.tensor([0, 1]), torch.tensor([0])]})
