# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.networks import EncoderRetinaNet, YOLOv3Detector, build_detector, build_encoder

VIT = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}


@pytest.mark.parametrize(("name", "kind"), [("retinanet", EncoderRetinaNet), ("yolov3", YOLOv3Detector)])
@pytest.mark.parametrize("trained", ["all", "head"])
def test_detectors_of_both_names_score_boxes_and_train_what_they_shall(name: Any, kind: type, trained: Any) -> None:
    encoder = build_encoder(VIT, image_size=64)
    network = build_detector(name, encoder, num_classes=3, image_size=64, channels=16, trained=trained)
    assert isinstance(network, kind)
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape[::2] == (2, 7)
    assert {p.requires_grad for p in encoder.parameters()} == {trained == "all"}


def test_channels_scale_the_neck_of_yolov3() -> None:
    network = build_detector(
        "yolov3", build_encoder(VIT, image_size=64), num_classes=1, image_size=64, channels=16, expansion=4
    )
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes["coarse.down.weight"][0] == 128 and shapes["coarse.bottleneck.conv2.weight"][0] == 32


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match='"retinanet" or "yolov3", got \'yolo\''):
        build_detector("yolo", build_encoder(VIT, image_size=64), num_classes=1, image_size=64)  # type: ignore[arg-type]
