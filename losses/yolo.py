# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Loss of the YOLOv3 detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

IGNORE_IOU = 0.5  # anchors of a box's cell that fit its shape better are not taught that there is nothing


class YOLOv3Loss(nn.Module):
    """Place, size, presence and class of the boxes, summed over the three grids.

    Source: ECAMP, official detection code (after MGCA). Each part is a mean over all anchors of a grid, most of them
    zero. Boxes are read, never changed (mends quirk Q40), and there may be any number of them (officially 10).
    Of two boxes that fall to one anchor the later one gives place and size, both their class.

    Args:
        assignment: "official": every box is learned on every grid, by the anchor of its cell whose shape fits best
            (IoU with a pixel added to each side, in cells); that anchor is taught at once that there is a box and
            that there is none, where it fits by 0.5 or less (quirk Q36). "best_scale", as in YOLOv3: only by the
            best of all nine anchors, and an anchor with a box is never taught that there is none.
        place_weight: of the place and of the size.
        empty_weight: of the anchors without a box.

    Raises:
        ValueError: for another assignment.
    """

    def __init__(
        self,
        assignment: Literal["official", "best_scale"] = "official",
        *,
        place_weight: float = 2.5,
        empty_weight: float = 0.5,
    ) -> None:
        super().__init__()
        if assignment not in ("official", "best_scale"):
            raise ValueError(f'assignment must be "official" or "best_scale", got {assignment!r}')
        self.assignment = assignment
        self.place_weight, self.empty_weight = place_weight, empty_weight

    def forward(
        self, heads: Mapping[str, Any], boxes: Sequence[torch.Tensor], box_classes: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Score a batch.

        Args:
            heads: of :meth:`radbundles.networks.YOLOv3Detector.heads`.
            boxes: B tensors [n, 4], x0, y0, x1, y1 in pixels.
            box_classes: B tensors [n].

        Returns:
            ``loss`` and its parts before weighting, all float32: ``place`` and ``size`` (x and y, width and height),
            ``presence`` and ``classification``.
        """
        counts = torch.tensor([len(own) for own in boxes])
        image = torch.repeat_interleave(counts).to(heads["anchors"].device)  # of each box
        corners, classes = torch.cat(list(boxes)).float(), torch.cat(list(box_classes))
        center, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        fits = self._fits(size, heads["anchors"], heads["strides"])  # [grids, boxes, anchors]
        best = fits.movedim(1, 0).flatten(1).argmax(dim=1) // fits.shape[2]  # the grid of each box
        parts: list[torch.Tensor] = []
        for number, (grid, anchors, stride) in enumerate(
            zip(heads["grids"], heads["anchors"], heads["strides"], strict=True)
        ):
            cell = (center / stride).long().clamp(0, grid.shape[2] - 1)
            fit, anchor = fits[number].max(dim=1)
            where = _flat(grid, image, anchor, cell)
            around = fits[number] > IGNORE_IOU  # [boxes, anchors]
            ignored = torch.zeros_like(grid[..., 0]).flatten()
            ignored[_flat(grid, image[:, None], torch.arange(3, device=image.device), cell[:, None])[around]] = 1
            if self.assignment == "best_scale":
                own = best == number
                ignored[where[own]] = 1
            else:
                own = torch.ones_like(best, dtype=torch.bool)
            place = torch.cat([center / stride - cell, (size / anchors[anchor]).log()], dim=1)
            parts.append(self._parts(grid, where[own], place[own], classes[own], 1 - ignored))
        place_, size_, presence, classification = torch.stack(parts).sum(dim=0)
        loss = self.place_weight * (place_ + size_) + presence + classification
        return {
            "loss": loss,
            "place": place_,
            "size": size_,
            "presence": presence,
            "classification": classification,
        }

    def _fits(self, size: torch.Tensor, anchors: torch.Tensor, strides: Sequence[int]) -> torch.Tensor:
        """IoU of boxes and anchors laid on one corner."""
        scale = torch.tensor(strides, device=size.device, dtype=size.dtype)[:, None, None]
        pixel = 1.0 if self.assignment == "official" else 0.0
        a, b = (size / scale)[:, :, None] + pixel, (anchors / scale)[:, None] + pixel
        common = torch.minimum(a, b).prod(dim=-1)
        return common / (a.prod(dim=-1) + b.prod(dim=-1) - common)

    def _parts(
        self,
        grid: torch.Tensor,
        where: torch.Tensor,
        place: torch.Tensor,
        classes: torch.Tensor,
        empty: torch.Tensor,
    ) -> torch.Tensor:
        """Place, size, presence and classification of one grid."""
        rows = grid.flatten(0, 3)
        count, order = len(rows), torch.arange(1, len(where) + 1, device=where.device)
        last = order.new_zeros(count).scatter_reduce(0, where, order, "amax")
        winner = last[where] == order  # an anchor learns one place, the same in every run
        chosen, place = where[winner], place[winner]
        target = torch.zeros_like(rows[:, 5:])
        target[where, classes] = 1
        found, logit = rows[chosen], rows[:, 4]
        sums = torch.stack(
            [
                F.binary_cross_entropy_with_logits(found[:, :2], place[:, :2], reduction="sum"),
                F.mse_loss(found[:, 2:4], place[:, 2:], reduction="sum"),
                F.softplus(-found[:, 4]).sum() + self.empty_weight * (empty * F.softplus(logit)).sum(),
                F.binary_cross_entropy_with_logits(found[:, 5:], target[chosen], reduction="sum") / target.shape[1],
            ]
        )
        return sums / count


def _flat(grid: torch.Tensor, image: torch.Tensor, anchor: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
    """Number of an anchor among all of a grid [B, 3, g, g, ...]; cell is column and row."""
    side = grid.shape[2]
    return ((image * grid.shape[1] + anchor) * side + cell[..., 1]) * side + cell[..., 0]
