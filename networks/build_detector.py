# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Detectors by a few plain values, as a configuration file has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from torch import nn

from radbundles.networks.box_detector import BoxDetector
from radbundles.networks.retinanet import EncoderRetinaNet
from radbundles.networks.yolo_detector import YOLOv3Detector

_KINDS: dict[str, tuple[Callable[..., BoxDetector], tuple[str, ...]]] = {
    "retinanet": (EncoderRetinaNet, ("out_channels", "strides", "anchors", "ratios")),
    "yolov3": (YOLOv3Detector, ("expansion", "anchors", "widths")),
}


def build_detector(
    detector: Mapping[str, Any],
    encoder: nn.Module,
    num_classes: int,
    *,
    image_size: int,
    trained: Literal["all", "head"] = "all",
) -> BoxDetector:
    """Build a detector on an encoder out of values that a JSON file can hold.

    The two kinds and what each takes; what is left out has the default of the class::

        {"kind": "retinanet", "out_channels": 256, "strides": [8, 16, 32, 64], "anchors": ..., "ratios": [0.5, 1, 2]}
        {"kind": "yolov3", "expansion": 8, "widths": [512, 1024, 2048], "anchors": ...}

    They are :class:`EncoderRetinaNet` and :class:`YOLOv3Detector`.

    Args:
        detector: ``kind`` and its values.
        encoder: of :func:`build_encoder`, for example.
        num_classes: K.
        image_size: side of the image in pixels.
        trained: "all", or "head" for a frozen encoder.

    Raises:
        ValueError: if the kind or a key is unknown, or values do not fit.
    """
    values = dict(detector)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"detector needs a kind of {', '.join(_KINDS)}, got {kind!r}")
    build, keys = _KINDS[kind]
    for key in values:
        if key not in keys:
            near = get_close_matches(key, keys, 1)
            hint = f": is it {near[0]!r}?" if near else f"; it takes {', '.join(keys)}"
            raise ValueError(f"a detector of kind {kind!r} has no {key!r}{hint}")
    return build(encoder, num_classes, image_size=image_size, trained=trained, **values)
