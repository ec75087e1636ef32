# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Detectors by name, as a configuration file has them."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from radbundles.networks.box_detector import BoxDetector
from radbundles.networks.retinanet import EncoderRetinaNet
from radbundles.networks.yolo_detector import YOLOv3Detector


def build_detector(
    detector: Literal["retinanet", "yolov3"],
    encoder: nn.Module,
    *,
    num_classes: int,
    image_size: int,
    channels: int = 256,
    trained: Literal["all", "head"] = "all",
    **settings: Any,
) -> BoxDetector:
    """Build an untrained detector on an encoder.

    Args:
        detector: "retinanet" for :class:`EncoderRetinaNet`, "yolov3" for :class:`YOLOv3Detector`.
        encoder: of :func:`build_encoder`, or any with the attributes ``out_channels`` and ``stride``.
        num_classes: K.
        image_size: side of the image in pixels.
        channels: width of pyramid and heads; 256 are those of RetinaNet and of the official YOLOv3 neck.
        trained: "all", or "head" to freeze the encoder (as the official code does).
        settings: further arguments of the class.

    Raises:
        ValueError: if the detector is unknown or sizes do not fit each other.
    """
    common = {"image_size": image_size, "trained": trained, **settings}
    if detector == "retinanet":
        return EncoderRetinaNet(encoder, num_classes, **{"out_channels": channels, **common})
    if detector == "yolov3":
        return YOLOv3Detector(encoder, num_classes, **{"widths": (2 * channels, 4 * channels, 8 * channels), **common})
    raise ValueError(f'detector must be "retinanet" or "yolov3", got {detector!r}')
