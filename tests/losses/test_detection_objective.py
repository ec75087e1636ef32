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

from radbundles.losses import DetectionObjective, YOLOv3Loss
from radbundles.networks import YOLOv3Detector, build_detector, build_encoder, build_retinanet


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


def tiny_yolo(size: int = 64, classes: int = 2, **settings: Any) -> DetectionObjective:
    torch.manual_seed(0)
    encoder = Encoder(stride=16)
    network = YOLOv3Detector(
        encoder, classes, image_size=size, **{"widths": (16, 32, 64), "expansion": 2, "trained": "all", **settings}
    )
    return DetectionObjective(network, YOLOv3Loss("best_scale"))


DETECTORS = pytest.mark.parametrize("make", [tiny, tiny_yolo])


def test_lungs_of_a_few_images_are_found_after_overfitting() -> None:
    batch, objective = lungs(4, 64), tiny()
    with torch.no_grad():
        before = objective.eval()(batch)
    found = overfit(objective.train(), batch, 90)
    assert ap50(found, batch) > 0.95 > 0.3 > ap50(before, batch)
    pairs = zip(batch["boxes"], found["boxes"], strict=True)
    best = [torch.as_tensor(box_iou(truth, own[:2])).amax(dim=1) for truth, own in pairs]
    assert torch.cat(best).min() > 0.7


def test_lungs_of_a_few_images_are_found_by_yolov3_too() -> None:
    batch, objective = lungs(4, 64), tiny_yolo()
    found = overfit(objective, batch, 70, rate=5e-3)
    assert ap50(found, batch) > 0.95


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


def test_empty_boxes_and_unknown_classes_are_refused() -> None:
    batch, objective = lungs(1, 64), tiny()
    with pytest.raises(ValueError, match="without width or height"):
        objective({**batch, "boxes": [torch.tensor([[5.0, 4, 5, 9], [0, 0, 9, 9]])]})
    with pytest.raises(ValueError, match=r"classes \[0, 2\], the detector has 0 to 1"):
        objective({**batch, "box_classes": [torch.tensor([0, 2])]})


def test_each_detector_gets_its_own_loss() -> None:
    vit = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}
    kinds: dict[str, dict[str, Any]] = {
        "RetinaNetLoss": {"kind": "retinanet", "out_channels": 16},
        "YOLOv3Loss": {"kind": "yolov3", "widths": [16, 32, 64], "expansion": 4},
    }
    for loss, values in kinds.items():
        network = build_detector(values, build_encoder(vit, image_size=64), 2, image_size=64, trained="head")
        objective = DetectionObjective(network)
        assert type(objective.loss).__name__ == loss
        objective(lungs(2, 64))["loss"].backward()
        assert all((p.grad is not None) == p.requires_grad for p in network.parameters())
        assert {key.split(".")[0] for key in objective.state_dict()} == {"network"}


@DETECTORS
@pytest.mark.parametrize("boxes", [True, False])
def test_every_weight_has_a_gradient_with_boxes_and_without(make: Any, boxes: bool) -> None:
    batch, objective = lungs(2, 64), make()
    if not boxes:  # a batch of negatives on one of several processes must not stop the others
        batch |= {"boxes": [torch.zeros(0, 4)] * 2, "box_classes": [torch.zeros(0, dtype=torch.int64)] * 2}
    result = objective(batch)
    result["loss"].backward()
    assert all(value.isfinite() for value in result.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())


@DETECTORS
def test_specks_and_whole_images_give_finite_losses_and_gradients(make: Any) -> None:
    batch, objective = lungs(2, 64), make(classes=1)
    batch["boxes"] = [torch.tensor([[0.0, 0, 64, 64], [63, 63, 64, 64]]), torch.tensor([[31.9, 20, 32, 20.1]])]
    batch["box_classes"] = [torch.tensor([0, 0]), torch.tensor([0])]
    result = objective(batch)
    result["loss"].backward()
    assert all(value.isfinite() and value > 0 for value in result.values())
    assert all(p.grad.isfinite().all() for p in objective.parameters())


def test_a_speck_is_found_beside_a_whole_image() -> None:
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 40:44, 20:24] = 3
    boxes = [torch.tensor([[0.0, 0, 64, 64], [20, 40, 24, 44]])]
    batch = {"image": image, "boxes": boxes, "box_classes": [torch.tensor([1, 0])]}
    assert ap50(overfit(tiny(), batch, 80, rate=3e-3), batch) > 0.95


@DETECTORS
def test_one_class_and_images_without_boxes_train_together(make: Any) -> None:
    batch, objective = lungs(3, 64), make(classes=1)
    batch["boxes"][1] = torch.zeros(0, 4)
    batch["box_classes"] = [torch.zeros(len(own), dtype=torch.int64) for own in batch["boxes"]]
    before = float(objective(batch)["loss"].detach())
    result = overfit(objective, batch, 15)
    assert result["loss"] < before
    assert len(result["boxes"]) == 3 and all((own == 0).all() for own in result["box_classes"])


@DETECTORS
def test_losses_and_boxes_are_in_full_precision_under_bfloat16(make: Any) -> None:
    batch, objective = lungs(2, 64), make()
    with torch.autocast("cpu", torch.bfloat16):
        result = objective(batch)
    result["loss"].backward()
    assert {value.dtype for value in result.values()} == {torch.float32}
    assert all(p.grad.isfinite().all() for p in objective.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = objective.eval()(batch)
    assert {own.dtype for own in found["boxes"] + found["scores"]} <= {torch.float32}


@DETECTORS
def test_two_runs_are_bit_identical_whatever_the_random_state(make: Any) -> None:
    weights = []
    for seed in (1, 2):
        objective = make()
        torch.manual_seed(seed)  # training draws nothing
        overfit(objective, lungs(2, 64), 3)
        weights.append(objective.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@DETECTORS
def test_the_batch_is_not_changed(make: Any) -> None:
    batch, same = lungs(2, 64), lungs(2, 64)
    make()(batch)
    assert torch.equal(batch["image"], same["image"])
    assert all(torch.equal(a, b) for a, b in zip(batch["boxes"], same["boxes"], strict=True))
