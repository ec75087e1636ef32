# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch

from radbundles.losses import YOLOv3Loss

SIDE, CLASSES = 64.0, 3
ANCHORS = torch.tensor([[[18.0, 14], [24, 31], [57, 50]], [[5, 9], [10, 7], [9, 18]], [[2, 2], [3, 5], [5, 4]]])
STRIDES = (32, 16, 8)
BOXES = [
    torch.tensor([[5.0, 4, 23, 54], [40, 5, 59, 45], [41, 6, 58, 44], [30, 30, 32, 33]]),  # two in one cell
    torch.zeros(0, 4),
    torch.tensor([[0.0, 0, 64, 64], [10, 10, 18, 15]]),
]
KINDS = [torch.tensor([0, 1, 2, 0]), torch.zeros(0, dtype=torch.int64), torch.tensor([2, 1])]


def heads(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    grids = [torch.randn(3, 3, g, g, 5 + CLASSES, generator=generator).requires_grad_() for g in (2, 4, 8)]
    return {"grids": grids, "anchors": ANCHORS, "strides": STRIDES}


def bce(logit: torch.Tensor, target: float) -> torch.Tensor:
    p = logit.double().sigmoid()
    return -(target * p.log() + (1 - target) * (1 - p).log())


def by_loops(heads: dict[str, Any], assignment: str) -> torch.Tensor:
    """Cell by cell, as the method is written down."""
    one = 1.0 if assignment == "official" else 0.0

    def fit(w: float, h: float, anchor: torch.Tensor, stride: int) -> float:
        w, h, aw, ah = w / stride, h / stride, float(anchor[0]) / stride, float(anchor[1]) / stride
        common = (min(w, aw) + one) * (min(h, ah) + one)
        return common / ((w + one) * (h + one) + (aw + one) * (ah + one) - common)

    total = torch.zeros((), dtype=torch.float64)
    for scale, (grid, anchors, stride) in enumerate(zip(heads["grids"], ANCHORS, STRIDES, strict=True)):
        side = grid.shape[2]
        found: dict[tuple[int, ...], list[float]] = {}
        kinds: dict[tuple[int, ...], set[int]] = {}
        quiet: set[tuple[int, ...]] = set()
        for image, (boxes, classes) in enumerate(zip(BOXES, KINDS, strict=True)):
            for box, kind in zip(boxes.tolist(), classes.tolist(), strict=True):
                x, y, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
                column, row = int(x // stride), int(y // stride)
                fits = [fit(w, h, anchor, stride) for anchor in anchors]
                quiet |= {(image, a, row, column) for a in range(3) if fits[a] > 0.5}
                best = max(range(3), key=lambda a: fits[a])
                everywhere = [
                    [fit(w, h, anchor, s) for anchor in grid] for grid, s in zip(ANCHORS, STRIDES, strict=True)
                ]
                home = max(range(3), key=lambda s: max(everywhere[s]))
                if assignment == "best_scale" and home != scale:
                    continue
                place = (image, best, row, column)
                if assignment == "best_scale":
                    quiet.add(place)
                aw, ah = anchors[best].tolist()
                found[place] = [x / stride - column, y / stride - row, math.log(w / aw), math.log(h / ah)]
                kinds.setdefault(place, set()).add(kind)
        count = 3 * 3 * side * side
        for place in ((i, a, r, c) for i in range(3) for a in range(3) for r in range(side) for c in range(side)):
            z = grid[place]
            if place in found:
                tx, ty, tw, th = found[place]
                total = total + 2.5 * (bce(z[0], tx) + bce(z[1], ty) + (z[2] - tw) ** 2 + (z[3] - th) ** 2) / count
                total = total + bce(z[4], 1) / count
                for kind in range(CLASSES):
                    total = total + bce(z[5 + kind], float(kind in kinds[place])) / (count * CLASSES)
            if place not in quiet:
                total = total + 0.5 * bce(z[4], 0) / count
    return total


@pytest.mark.parametrize("assignment", ["official", "best_scale"])
def test_loss_and_gradient_are_those_of_the_method_cell_by_cell(assignment: Literal["official", "best_scale"]) -> None:
    outputs = heads()
    result = YOLOv3Loss(assignment)(outputs, BOXES, KINDS)
    expected = by_loops(outputs, assignment)
    torch.testing.assert_close(result["loss"].double(), expected, rtol=1e-5, atol=1e-7)
    ours = torch.autograd.grad(result["loss"], outputs["grids"])
    theirs = torch.autograd.grad(expected, outputs["grids"])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_official_assignment_learns_a_box_on_every_grid_and_the_other_on_one() -> None:
    box, kind = [torch.tensor([[10.0, 10, 60, 60]])], [torch.tensor([0])]
    learned = {}
    for assignment in ("official", "best_scale"):
        outputs = {**heads(), "grids": [grid[:1].detach().requires_grad_() for grid in heads()["grids"]]}
        YOLOv3Loss(assignment)(outputs, box, kind)["size"].backward()
        learned[assignment] = [bool(grid.grad.abs().sum() > 0) for grid in outputs["grids"]]
    assert learned == {"official": [True, True, True], "best_scale": [True, False, False]}


def test_images_without_boxes_teach_only_that_there_is_nothing() -> None:
    outputs = heads()
    result = YOLOv3Loss()(outputs, [torch.zeros(0, 4)] * 3, [torch.zeros(0, dtype=torch.int64)] * 3)
    assert result["place"] == result["size"] == result["classification"] == 0 < result["presence"]
    result["loss"].backward()
    for grid in outputs["grids"]:
        assert (grid.grad[..., 4] > 0).all() and (grid.grad[..., :4] == 0).all() and (grid.grad[..., 5:] == 0).all()


def test_boxes_are_not_changed() -> None:
    before = [box.clone() for box in BOXES]
    YOLOv3Loss()(heads(), BOXES, KINDS)
    assert all(torch.equal(a, b) for a, b in zip(before, BOXES, strict=True))


def test_boxes_at_the_last_pixel_stay_in_the_last_cell() -> None:
    result = YOLOv3Loss()(heads(), [torch.tensor([[63.0, 63, 65, 65]])] + BOXES[1:], [torch.tensor([0])] + KINDS[1:])
    assert result["loss"].isfinite()


def test_an_unknown_assignment_is_refused() -> None:
    with pytest.raises(ValueError, match="best_scale"):
        YOLOv3Loss("all")  # type: ignore[arg-type]
