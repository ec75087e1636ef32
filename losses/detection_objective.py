# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A detector and its loss as one module that takes a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from radbundles.losses.retinanet import RetinaNetLoss
from radbundles.losses.yolo import YOLOv3Loss
from radbundles.networks.box_detector import BoxDetector
from radbundles.networks.yolo_detector import YOLOv3Detector


class DetectionObjective(nn.Module):
    """Train a detector on batches of images and boxes, and find boxes when it is judged.

    Images without boxes are negatives: all that is found there is wrong, and learned as such.

    Args:
        network: :class:`radbundles.networks.EncoderRetinaNet` or :class:`radbundles.networks.YOLOv3Detector`.
        loss: takes what the network's ``heads`` give, boxes and classes; by default :class:`RetinaNetLoss` or
            :class:`YOLOv3Loss` with their usual settings.
        score_threshold: boxes found must score higher than this.
        nms_iou: found boxes that overlap a better one of their class by more are dropped.
        max_detections: boxes kept of an image.
    """

    def __init__(
        self,
        network: BoxDetector,
        loss: nn.Module | None = None,
        *,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss or (YOLOv3Loss() if isinstance(network, YOLOv3Detector) else RetinaNetLoss())
        self.selection: dict[str, Any] = {
            "score_threshold": score_threshold,
            "nms_iou": nms_iou,
            "max_detections": max_detections,
        }

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Run the detector on a batch and score it.

        Args:
            batch: ``image`` [B, 3, S, S]; ``boxes``, a list of B tensors [n, 4] (x0, y0, x1, y1 in pixels of the
                square), and ``box_classes``, a list of B tensors [n]; they may lie on another device than the image.

        Returns:
            ``loss`` and its parts; in eval mode also the lists ``boxes`` [n, 4], ``scores`` [n], from high to low, and
            ``box_classes`` [n] of each image.

        Raises:
            ValueError: if boxes, classes and images do not fit, or a box is empty.
        """
        image = batch["image"]
        _check(len(image), batch["boxes"], batch["box_classes"], self.network.num_classes)
        boxes = [_plain(own, image.device).float() for own in batch["boxes"]]
        classes = [_plain(own, image.device).long() for own in batch["box_classes"]]
        heads = self.network.heads(image)
        result: dict[str, Any] = self.loss(heads, boxes, classes)
        if not self.training:
            found = self.network.detect(self.network.decode(heads), **self.selection)
            result = {**result, **dict(zip(("boxes", "scores", "box_classes"), found, strict=True))}
        return result


def _plain(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    return values.as_subclass(torch.Tensor).to(device, non_blocking=True)


def _check(count: int, boxes: Sequence[torch.Tensor], classes: Sequence[torch.Tensor], num_classes: int) -> None:
    """Refuse early what would otherwise become an infinite loss or a fault on the device that names no place."""
    if not len(boxes) == len(classes) == count:
        raise ValueError(f"{count} images, but boxes of {len(boxes)} and box_classes of {len(classes)}")
    for number, (own, names) in enumerate(zip(boxes, classes, strict=True)):
        where = f"image {number} of the batch has"
        if own.ndim != 2 or own.shape[1] != 4 or names.shape != own.shape[:1]:
            raise ValueError(
                f"{where} boxes {tuple(own.shape)} and box_classes {tuple(names.shape)}: [n, 4] and [n] are needed"
            )
        if not (own[:, 2:] > own[:, :2]).all():
            raise ValueError(f"{where} a box without width or height: {own.tolist()}")
        if not ((names >= 0) & (names < num_classes)).all():
            raise ValueError(f"{where} classes {names.tolist()}, the detector has 0 to {num_classes - 1}")
