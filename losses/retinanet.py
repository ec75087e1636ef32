# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Loss of a RetinaNet, without torchvision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.losses import BoxGIoULoss, FocalLoss
from torch import nn

from radbundles.losses.anchor_matcher import EveryBoxMatcher
from radbundles.networks.all_processes import sum_over_processes
from radbundles.networks.retinanet import decode_boxes


class RetinaNetLoss(nn.Module):
    """Focal loss of all anchors and GIoU loss of the matched ones, each per matched anchor of the batch.

    Source: Lin et al., Focal Loss for Dense Object Detection; matching and GIoU as ATSS (Zhang et al.). Takes the
    place of MONAI's ``RetinaNetDetector.compute_loss``, which needs torchvision to train and gives no gradient to the
    box head where a batch has no boxes (so that distributed training stops). The focal loss reads every anchor: no
    sampling, hence nothing random. Images without boxes count as negatives. Classes are matched each on its own,
    since one region can show several findings; an anchor of two boxes learns the place of the better overlapping one.

    Args:
        box_weight: of the box loss.
        alpha: weight of positives in the focal loss, 1 - alpha that of negatives.
        gamma: focus of the focal loss.
        num_candidates: cells of each level that are looked at for each box.
    """

    def __init__(
        self, *, box_weight: float = 1.0, alpha: float = 0.25, gamma: float = 2.0, num_candidates: int = 4
    ) -> None:
        super().__init__()
        self.box_weight = box_weight
        self.focal = FocalLoss(gamma=gamma, alpha=alpha, reduction="none")  # its sum would be a mean of these rows
        self.giou = BoxGIoULoss(reduction="sum")
        self.matcher = EveryBoxMatcher(num_candidates)

    def forward(
        self, heads: Mapping[str, Any], boxes: Sequence[torch.Tensor], box_classes: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Score a batch.

        Args:
            heads: of :meth:`radbundles.networks.EncoderRetinaNet.heads`.
            boxes: B tensors [n, 4], pixels.
            box_classes: B tensors [n].

        Returns:
            ``loss`` and its parts ``classification`` and ``box``, all float32.
        """
        logits, deltas = heads["logits"].float(), heads["deltas"].float()
        target, image, anchor, truth = self._targets(heads, boxes, box_classes)
        focal = self.focal(logits.flatten(0, 1), target.flatten(0, 1)).sum()
        predicted = decode_boxes(deltas[image, anchor], heads["anchors"][anchor])
        box = self.giou(predicted, truth) if len(truth) else 0 * deltas.sum()
        counts = sum_over_processes(torch.stack([target.sum(), target.new_tensor(len(truth))])).clamp(min=1)
        classification, box = sum_over_processes(torch.stack([focal, box])) / counts
        return {"loss": classification + self.box_weight * box, "classification": classification, "box": box}

    @torch.no_grad()
    def _targets(
        self, heads: Mapping[str, Any], boxes: Sequence[torch.Tensor], box_classes: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Class targets [B, A, K], and for each matched anchor its image, its number and its box."""
        anchors, target = heads["anchors"], torch.zeros_like(heads["logits"], dtype=torch.float32)
        cells = [count // heads["cell_anchors"] for count in heads["level_anchors"]]
        found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for number, (own, classes) in enumerate(zip(boxes, box_classes, strict=True)):
            best = anchors.new_zeros(len(anchors))
            place = torch.zeros_like(anchors)
            for name in classes.unique().tolist():
                some = own[classes == name]
                quality, matches = self.matcher(some, anchors, cells, heads["cell_anchors"])
                target[number, :, name] = (matches >= 0).to(target)
                overlap = quality.gather(0, matches.clamp(min=0)[None])[0] * (matches >= 0)
                better = overlap > best
                place = torch.where(better[:, None], some[matches.clamp(min=0)], place)
                best = torch.where(better, overlap, best)
            chosen = best.nonzero().flatten()
            found.append((torch.full_like(chosen, number), chosen, place[chosen]))
        image, anchor, truth = (torch.cat(values) for values in zip(*found, strict=True))
        return target, image, anchor, truth
