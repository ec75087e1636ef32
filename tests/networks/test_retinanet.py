# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from monai.apps.detection.utils.box_coder import BoxCoder
from monai.data.box_utils import box_iou

from radbundles.networks import EncoderRetinaNet, FeaturePyramid, build_encoder, build_retinanet
from radbundles.networks.retinanet import anchor_sides, decode_boxes, level_strides

VIT = {"kind": "vit", "patch_size": 16, "dim": 16, "depth": 1, "heads": 2}


def tiny(size: int = 64, classes: int = 2, **settings: Any) -> EncoderRetinaNet:
    torch.manual_seed(0)
    return build_retinanet(
        build_encoder(VIT, image_size=size),
        classes,
        image_size=size,
        **{"out_channels": 8, "strides": (8, 16, 32), **settings},
    )


def test_prediction_is_one_tensor_of_boxes_and_scores() -> None:
    network = tiny().eval()
    pred = network(torch.randn(2, 3, 64, 64))
    assert pred.shape == (2, 9 * (8 * 8 + 4 * 4 + 2 * 2), 6) and pred.dtype == torch.float32
    assert ((pred[..., 4:] > 0) & (pred[..., 4:] < 1)).all()
    assert (pred[..., 2:4] > pred[..., :2]).all()


def test_anchors_are_x_first_and_lie_on_their_cells_row_by_row() -> None:
    network = tiny(anchors=[[8], [16], [32]], ratios=(2.0,))
    centers = (network.anchors[:, :2] + network.anchors[:, 2:]) / 2
    assert centers[:3].tolist() == [[4, 4], [12, 4], [20, 4]]  # x moves first
    assert centers[8].tolist() == [4, 12]
    size = network.anchors[:, 2:] - network.anchors[:, :2]
    assert (size[:, 1] > size[:, 0]).all()  # a ratio of 2 is upright
    assert network.level_anchors == (64, 16, 4)


def test_cells_of_a_grid_that_was_rounded_up_keep_their_stride() -> None:
    network = tiny(96, strides=(16, 64), anchors=[[16], [64]], ratios=(1.0,))
    coarse = network.anchors[network.level_anchors[0] :]
    assert ((coarse[:, 0] + coarse[:, 2]) / 2).tolist() == [32, 96, 32, 96]


@pytest.mark.parametrize(("size", "strides"), [(64, (8, 16, 32)), (224, (8, 16, 32, 64)), (448, (8, 16, 32, 64))])
def test_nodules_and_whole_images_find_an_anchor_of_their_size(size: int, strides: tuple[int, ...]) -> None:
    sides = [side for level in anchor_sides(size, strides) for side in level]
    assert sides[0] == 2 * strides[0] and sides[-1] == pytest.approx(size)
    for wanted in torch.linspace(strides[0], size, 40).tolist():
        for ratio in (0.4, 1.0, 2.5):
            w, h = wanted / math.sqrt(ratio), wanted * math.sqrt(ratio)
            shapes = [(a / math.sqrt(r), a * math.sqrt(r)) for a in sides for r in (0.5, 1.0, 2.0)]
            common = [min(w, a) * min(h, b) for a, b in shapes]
            best = max(c / (w * h + a * b - c) for c, (a, b) in zip(common, shapes, strict=True))
            assert best > (0.5 if wanted >= 1.5 * strides[0] else 0.2), (wanted, ratio)


@pytest.mark.parametrize(
    ("stride", "finest"), [(4, 8), (8, 8), (16, 8), (32, 8), (14, 7), (28, 7), (12, 6), (7, 7), (13, 13), (5, 10)]
)
def test_strides_fit_the_encoder_and_begin_near_eight(stride: int, finest: int) -> None:
    strides = level_strides(stride)
    assert strides == (finest, 2 * finest, 4 * finest, 8 * finest)
    FeaturePyramid(8, stride, out_channels=8, strides=strides)  # takes them


def test_boxes_are_decoded_as_by_monai() -> None:
    generator = torch.Generator().manual_seed(0)
    corner, size = 50 * torch.rand(30, 2, generator=generator), 1 + 30 * torch.rand(30, 2, generator=generator)
    anchors = torch.cat([corner, corner + size], dim=1)
    deltas = 3 * torch.randn(30, 4, generator=generator)  # some beyond the bound
    assert (deltas[:, 2:] > math.log(1000 / 16)).any()
    expected = BoxCoder(weights=(1.0,) * 4).decode_single(deltas, anchors)
    torch.testing.assert_close(decode_boxes(deltas, anchors), expected)


def test_detections_are_those_of_monais_detector() -> None:
    network = tiny(anchors=[[12, 20], [24, 40], [48, 60]], ratios=(1.0, 2.0)).eval()
    with torch.no_grad():
        network.retinanet.classification_head.cls_logits.bias.fill_(-1)  # scores around a quarter
        network.retinanet.classification_head.cls_logits.weight.mul_(30)
        network.retinanet.regression_head.bbox_reg.weight.mul_(5)
    image = torch.randn(2, 3, 64, 64)

    class Whole(torch.nn.Module):
        spatial_dims, num_classes, size_divisible, num_anchors = 2, 2, 1, 4
        cls_key, box_reg_key = "classification", "box_regression"

        def forward(self, image: torch.Tensor) -> Any:
            return network.retinanet(network.encoder(image))

    generator = AnchorGenerator([(12, 20), (24, 40), (48, 60)], [(1.0, 2.0)] * 3, indexing="xy")
    detector = RetinaNetDetector(Whole(), generator).eval()
    detector.set_box_selector_parameters(score_thresh=0.2, nms_thresh=0.4, detections_per_img=20)
    with torch.no_grad():
        expected = detector(image)
        found = network.detect(network(image), score_threshold=0.2, nms_iou=0.4, max_detections=20)
    assert max(len(x) for x in found[0]) > 5
    for number, one in enumerate(expected):
        torch.testing.assert_close(found[0][number], one["boxes"])
        torch.testing.assert_close(found[1][number], one["labels_scores"])
        torch.testing.assert_close(found[2][number], one["labels"])


def test_frozen_encoder_stays_frozen_and_in_eval_mode() -> None:
    network = tiny(trained="head")
    network.train()
    assert network.training and not network.encoder.training and network.retinanet.training
    network(torch.randn(1, 3, 64, 64)).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in network.encoder.parameters())
    assert all(p.grad is not None for p in network.retinanet.parameters())


def test_state_dict_holds_the_encoder_by_its_name_and_no_anchors() -> None:
    keys = tiny().state_dict().keys()
    assert {key.split(".")[0] for key in keys} == {"encoder", "retinanet"}


def test_exported_network_gives_the_same_for_any_batch() -> None:
    network = tiny().eval()
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(network, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    image = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(program.module()(image), network(image))


def test_boxes_keep_full_precision_under_bfloat16() -> None:
    network = tiny(224, strides=(16, 32)).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        exact = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            heads = network.heads(image)
            pred = network.decode(heads)
    assert heads["logits"].dtype == heads["deltas"].dtype == heads["anchors"].dtype == pred.dtype == torch.float32
    torch.testing.assert_close(pred[..., :4], exact[..., :4], rtol=0, atol=2)  # of 224 pixels
    assert network.anchors[-1].tolist() != network.anchors[-1].bfloat16().float().tolist()


def test_transformers_and_resnet_encoders_fit_too() -> None:
    resnet = build_encoder({"kind": "resnet", "depth": 18, "widths": [8, 8, 8], "blocks": [1, 1, 1]}, image_size=64)
    assert resnet.stride == 16
    network = build_retinanet(resnet, 1, image_size=64, out_channels=8, strides=(8, 16, 32)).eval()
    assert network(torch.randn(1, 3, 64, 64)).shape == (1, 9 * 84, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"out_channels": 12}, "multiple of 8"),
        ({"anchors": [[8], [16]]}, "for each of the strides"),
        ({"anchors": [[8], [16], [32, 48]]}, "for each of the strides"),
        ({"anchors": [[8], [16], [0]]}, "positive"),
        ({"ratios": ()}, "positive"),
        ({"trained": "some"}, "trained must be"),
        ({"classes": 0}, "num_classes must be 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**settings)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="built for 64 x 64 pixels, got 64 x 80"):
        tiny()(torch.zeros(1, 3, 64, 80))
    with pytest.raises(ValueError, match="multiple of the encoder's stride 16, got 72"):
        build_retinanet(build_encoder(VIT, image_size=64), 1, image_size=72)
    with pytest.raises(ValueError, match="Identity needs an attribute out_channels"):
        build_retinanet(torch.nn.Identity(), 1, image_size=64)


def test_overlap_of_every_small_box_with_some_anchor_is_positive() -> None:
    network = tiny()
    x = torch.arange(0.0, 63.0)
    grid = torch.cartesian_prod(x, x)
    assert (torch.as_tensor(box_iou(torch.cat([grid, grid + 1], dim=1), network.anchors)).amax(dim=1) > 0).all()
