# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from radbundles.networks import EncoderRetinaNet, YOLOv3Detector, build_detector, build_encoder


@pytest.fixture
def encoder() -> nn.Module:
    return build_encoder({"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}, image_size=32)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"kind": "retinanet", "out_channels": 8, "strides": [8, 16]}, EncoderRetinaNet),
        ({"kind": "yolov3", "widths": [16, 32, 64], "expansion": 4}, YOLOv3Detector),
    ],
)
def test_values_of_a_file_make_a_detector(encoder: nn.Module, values: dict[str, Any], kind: type) -> None:
    detector = build_detector(values, encoder, 2, image_size=32, trained="head")
    assert isinstance(detector, kind) and detector.encoder is encoder
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert detector.eval()(torch.zeros(1, 3, 32, 32)).shape[-1] == 4 + 2


def test_unknown_kinds_and_values_are_refused(encoder: nn.Module) -> None:
    with pytest.raises(ValueError, match="kind of retinanet, yolov3, got 'yolo'"):
        build_detector({"kind": "yolo"}, encoder, 1, image_size=32)
    with pytest.raises(ValueError, match="no 'out_channel': is it 'out_channels'"):
        build_detector({"kind": "retinanet", "out_channel": 8}, encoder, 1, image_size=32)
    with pytest.raises(ValueError, match="no 'seed'; it takes expansion"):
        build_detector({"kind": "yolov3", "seed": 8}, encoder, 1, image_size=32)
