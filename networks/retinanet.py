# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's RetinaNet on the features of any encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from torch import nn

from radbundles.networks.feature_pyramid import FeaturePyramid
from radbundles.networks.select_boxes import select_boxes

MAX_GROWTH = math.log(1000 / 16)
"""Bound of the logarithm by which a box may be larger than its anchor, as in MONAI's box coder."""


def default_anchors(image_size: int, strides: Sequence[int], per_level: int = 3) -> list[list[float]]:
    """Anchor sides in pixels, evenly spaced in logarithm from twice the finest stride up to the whole image.

    Nodules and lungs then both find an anchor near their size, whatever the size of the image.

    Args:
        image_size: side of the image in pixels.
        strides: of the levels, finest first.
        per_level: sides of a level.

    Returns:
        ``per_level`` rising sides for each level.
    """
    count = per_level * len(strides)
    low, high = math.log(min(2 * strides[0], image_size)), math.log(image_size)
    sides = [math.exp(low + (high - low) * i / (count - 1)) for i in range(count)]
    return [sides[i : i + per_level] for i in range(0, count, per_level)]


class EncoderRetinaNet(RetinaNet):
    """MONAI's ``RetinaNet`` whose feature extractor is a pyramid on the last map of an encoder.

    Source: Lin et al., Focal Loss for Dense Object Detection; MONAI's network, heads, anchors and suppression, with
    the pyramid of ViTDet. The image has a fixed size, so that the anchors are made once and neither image nor box is
    padded or scaled. State dict: ``encoder.*``, ``feature_extractor.*``, ``classification_head.*``,
    ``regression_head.*``. Use :func:`build_retinanet`; train with :class:`radbundles.losses.RetinaNetLoss`.

    Args:
        encoder: image [B, 3, S, S] -> [B, out_channels, h, w], with ``out_channels`` and ``stride``.
        pyramid: makes the levels from that map.
        num_classes: K.
        image_size: S in pixels.
        anchors: sides in pixels, as many for each level.
        ratios: heights over widths of the anchors; every side comes in every ratio, of the same area.
        trained: "all", or "head": the encoder is frozen, and stays in eval mode.

    Raises:
        ValueError: if sizes do not fit each other.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pyramid: FeaturePyramid,
        *,
        num_classes: int,
        image_size: int,
        anchors: Sequence[Sequence[float]],
        ratios: Sequence[float],
        trained: Literal["all", "head"] = "all",
    ) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        if trained not in ("all", "head"):
            raise ValueError(f'trained must be "all" or "head", got {trained!r}')
        sides = [[float(side) for side in level] for level in anchors]
        if len(sides) != len(pyramid.strides) or len({len(level) for level in sides}) != 1:
            raise ValueError(f"anchors must be as many sides for each of the strides {pyramid.strides}, got {sides}")
        if not ratios or min(*sides[0], *ratios) <= 0:
            raise ValueError(f"anchors and ratios must be positive, got {sides} and {list(ratios)}")
        super().__init__(
            spatial_dims=2,
            num_classes=num_classes,
            num_anchors=len(sides[0]) * len(ratios),
            feature_extractor=pyramid,
            size_divisible=1,
        )
        self.encoder = encoder
        self.image_size = image_size
        self.trained = trained
        generator = AnchorGenerator(sides, tuple([tuple(ratios)] * len(sides)), indexing="xy")  # type: ignore[arg-type]
        grids = [[math.ceil(image_size / stride)] * 2 for stride in pyramid.strides]
        steps = [[torch.tensor(stride)] * 2 for stride in pyramid.strides]
        levels = generator.grid_anchors(grids, steps)
        self.level_anchors = [len(level) for level in levels]
        # Not in the state dict: settings make them.
        self.register_buffer("anchors", torch.cat(levels), persistent=False)
        if trained == "head":
            encoder.requires_grad_(False)
        self.train(self.training)

    anchors: torch.Tensor

    def train(self, mode: bool = True) -> EncoderRetinaNet:
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.trained == "head":
            self.encoder.eval()
        return self

    def heads(self, image: torch.Tensor) -> dict[str, Any]:
        """What the loss reads.

        Args:
            image: [B, 3, S, S].

        Returns:
            ``logits`` [B, A, K] and ``deltas`` [B, A, 4] (of MONAI's box coder) in float32, ``anchors`` [A, 4] in
            pixels, ``levels``: how many anchors each level has, finest first, ``per_cell``: how many each cell has.

        Raises:
            ValueError: if the image is not S x S.
        """
        if tuple(image.shape[-2:]) != (self.image_size, self.image_size):
            size = " x ".join(map(str, image.shape[-2:]))
            raise ValueError(f"the detector was built for {self.image_size} x {self.image_size} pixels, got {size}")
        maps = super().forward(self.encoder(image))
        return {
            "logits": _rows(maps[self.cls_key], self.num_classes),
            "deltas": _rows(maps[self.box_reg_key], 4),
            "anchors": self.anchors,
            "levels": self.level_anchors,
            "per_cell": self.num_anchors,
        }

    def decode(self, heads: dict[str, Any]) -> torch.Tensor:
        """Boxes and scores [B, A, 4 + K] of what :meth:`heads` gives."""
        return torch.cat([decode_boxes(heads["deltas"], heads["anchors"]), heads["logits"].sigmoid()], dim=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Score every anchor.

        Args:
            image: [B, 3, S, S].

        Returns:
            [B, A, 4 + K] float32: x0, y0, x1, y1 in pixels of the square, and scores 0..1 of the K classes.
        """
        return self.decode(self.heads(image))

    def detect(
        self, pred: torch.Tensor, *, score_threshold: float = 0.05, nms_iou: float = 0.5, max_detections: int = 100
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Boxes, scores and classes of each image out of what :meth:`forward` gives: :func:`select_boxes`."""
        return select_boxes(
            pred,
            self.image_size,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )


def build_retinanet(
    encoder: nn.Module,
    num_classes: int,
    *,
    image_size: int,
    out_channels: int = 256,
    strides: Sequence[int] = (8, 16, 32, 64),
    anchors: Sequence[Sequence[float]] | None = None,
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    trained: Literal["all", "head"] = "all",
) -> EncoderRetinaNet:
    """Build MONAI's RetinaNet on an encoder.

    Args:
        encoder: image [B, 3, S, S] -> [B, C, h, w], with the attributes ``out_channels`` (C) and ``stride``.
        num_classes: K.
        image_size: S in pixels, a multiple of the encoder's stride.
        out_channels: channels of the pyramid and of the heads, a multiple of 8.
        strides: of the levels of the pyramid in pixels, finest first.
        anchors: sides of the anchors in pixels, as many for each level; by default :func:`default_anchors`.
        ratios: heights over widths of the anchors.
        trained: "all", or "head" to freeze the encoder.

    Raises:
        ValueError: if sizes do not fit each other.
    """
    if image_size % encoder.stride:  # type: ignore[operator]
        raise ValueError(f"image_size must be a multiple of the encoder's stride {encoder.stride}, got {image_size}")
    if out_channels < 8 or out_channels % 8:
        raise ValueError(f"out_channels must be a multiple of 8 (MONAI's heads normalize 8 groups), got {out_channels}")
    pyramid = FeaturePyramid(
        encoder.out_channels,  # type: ignore[arg-type]
        encoder.stride,  # type: ignore[arg-type]
        out_channels=out_channels,
        strides=strides,
    )
    return EncoderRetinaNet(
        encoder,
        pyramid,
        num_classes=num_classes,
        image_size=image_size,
        anchors=default_anchors(image_size, strides) if anchors is None else anchors,
        ratios=ratios,
        trained=trained,
    )


def decode_boxes(deltas: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Move and scale anchors: the inverse of MONAI's ``BoxCoder`` with unit weights.

    Written out because the coder of MONAI branches on values, which ``torch.export`` cannot follow.

    Args:
        deltas: [..., 4]: shift of the center in widths and heights of the anchor, logarithm of the growth.
        anchors: [..., 4] x0, y0, x1, y1.

    Returns:
        Boxes [..., 4] x0, y0, x1, y1.
    """
    size = anchors[..., 2:] - anchors[..., :2]
    center = (anchors[..., :2] + anchors[..., 2:]) / 2 + deltas[..., :2] * size
    half = deltas[..., 2:].clamp(max=MAX_GROWTH).exp() * size / 2
    return torch.cat([center - half, center + half], dim=-1)


def _rows(maps: list[torch.Tensor], channels: int) -> torch.Tensor:
    """Maps [B, anchors * channels, h, w] of the levels -> [B, A, channels], cell by cell as the anchors lie."""
    rows = [x.unflatten(1, (-1, channels)).permute(0, 3, 4, 1, 2).flatten(1, 3) for x in maps]
    return torch.cat(rows, dim=1).float()
