# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from radbundles.networks import YOLOv3Detector, build_encoder

VIT = {"kind": "vit", "patch_size": 16, "dim": 16, "depth": 1, "heads": 2}


def tiny(size: int = 64, classes: int = 2, **settings: Any) -> YOLOv3Detector:
    torch.manual_seed(0)
    encoder = build_encoder(VIT, image_size=size)
    return YOLOv3Detector(encoder, classes, image_size=size, **{"widths": (32, 64, 128), **settings})


@pytest.mark.parametrize(("expansion", "trained", "all_"), [(8, 27.13, 112.93), (4, 30.83, 116.63)])
def test_sizes_are_the_official_ones(expansion: int, trained: float, all_: float) -> None:
    with torch.device("meta"):
        encoder = build_encoder({"kind": "vit"}, image_size=224)
        network = YOLOv3Detector(encoder, 1, image_size=224, expansion=expansion)
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert round(count / 1e6, 2) == trained
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == all_


def test_official_anchors_are_scaled_to_the_image() -> None:
    anchors = tiny(832).anchors
    assert anchors[0].tolist() == [[232, 180], [312, 396], [746, 652]]
    assert anchors[2, 0].tolist() == [20, 26]


def test_grids_go_from_coarse_to_fine() -> None:
    heads = tiny(96).heads(torch.randn(2, 3, 96, 96))
    assert [tuple(grid.shape) for grid in heads["grids"]] == [(2, 3, g, g, 7) for g in (3, 6, 12)]
    assert heads["strides"] == (32, 16, 8)


def test_boxes_are_decoded_from_cell_and_anchor() -> None:
    network = tiny()
    heads = network.heads(torch.zeros(1, 3, 64, 64))
    grids = [torch.zeros_like(grid) for grid in heads["grids"]]
    # The middle grid (stride 16), its anchor 1, row 2, column 3: a quarter and three quarters into the cell.
    cell = torch.tensor([-math.log(3), math.log(3), math.log(2), math.log(0.5), math.log(4), 0.3, 0.2])
    grids[1][0, 1, 2, 3] = cell
    pred = network.decode({**heads, "grids": grids})
    w, h = 62 * 64 / 416 * 2, 45 * 64 / 416 / 2
    x, y = (3 + 0.25) * 16, (2 + 0.75) * 16
    row = pred[0, 3 * 2 * 2 + (1 * 4 + 2) * 4 + 3]
    expected = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0.8, 0.0])
    torch.testing.assert_close(row, expected)
    assert pred.shape == (1, 3 * (4 + 16 + 64), 6)


def test_huge_outputs_give_finite_boxes() -> None:
    network = tiny()
    heads = network.heads(torch.zeros(1, 3, 64, 64))
    assert network.decode({**heads, "grids": [grid + 1e4 for grid in heads["grids"]]}).isfinite().all()


def test_encoder_is_frozen_by_default_and_all_else_learns() -> None:
    network = tiny()
    network.train()
    assert not network.encoder.training and not any(p.requires_grad for p in network.encoder.parameters())
    heads = network.heads(torch.randn(2, 3, 64, 64))
    torch.cat([grid.flatten() for grid in heads["grids"]]).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    assert network.state_dict().keys() >= {
        "encoder.cls_token",
        "cells.weight",
        "necks.2.out.bias",
        "laterals.1.0.weight",
    }


def test_exported_network_gives_the_same_for_any_batch() -> None:
    network = tiny().eval()
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(network, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    image = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(program.module()(image), network(image))


def test_boxes_keep_full_precision_under_bfloat16() -> None:
    network = tiny().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        heads = network.heads(torch.randn(1, 3, 64, 64))
        pred = network.decode(heads)
    assert {grid.dtype for grid in heads["grids"]} == {pred.dtype} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 48}, "twice a multiple"),
        ({"widths": (32, 64)}, "three multiples of 4 \\* 8"),
        ({"widths": (32, 64, 100)}, "three multiples of 4 \\* 8"),
        ({"anchors": [[[1, 2]]]}, "three positive"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**settings)
