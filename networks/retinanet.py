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

from radbundles.networks.box_detector import MAX_GROWTH, BoxDetector
from radbundles.networks.feature_pyramid import FeaturePyramid


class EncoderRetinaNet(BoxDetector):
    """MONAI's ``RetinaNet`` whose feature extractor is a pyramid on the last map of an encoder.

    Source: Lin et al., Focal Loss for Dense Object Detection; network, heads, anchors and suppression are MONAI's, the
    pyramid is that of ViTDet. The image has a fixed size, so that the anchors are made once and nothing is padded.
    State dict: ``encoder.*``, ``retinanet.feature_extractor.*`` (the pyramid), ``retinanet.classification_head.*``
    and ``retinanet.regression_head.*``. Train it with :class:`radbundles.losses.RetinaNetLoss`.

    Args:
        encoder: image [B, 3, S, S] -> [B, C, h, w], with the attributes ``out_channels`` (C) and ``stride``.
        num_classes: K.
        image_size: S in pixels, a multiple of the encoder's stride.
        out_channels: channels of the pyramid and of the heads, a multiple of 8.
        strides: of the levels of the pyramid in pixels, finest first; by default :func:`level_strides`: 8, 16, 32, 64
            for a ViT/16 or a ResNet.
        anchors: sides of the anchors in pixels, as many for each level; by default :func:`anchor_sides`.
        ratios: heights over widths of the anchors; every side comes in every ratio, of the same area.
        trained: "all", or "head": the encoder is frozen, and stays in eval mode.

    Raises:
        ValueError: if sizes do not fit each other.
    """

    anchors: torch.Tensor
    """All anchors [A, 4], x0, y0, x1, y1 in pixels, from the finest level to the coarsest."""
    level_anchors: tuple[int, ...]
    """How many anchors each level has."""

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        *,
        image_size: int,
        out_channels: int = 256,
        strides: Sequence[int] | None = None,
        anchors: Sequence[Sequence[float]] | None = None,
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        trained: Literal["all", "head"] = "all",
    ) -> None:
        super().__init__(encoder, num_classes=num_classes, image_size=image_size, trained=trained)
        if out_channels < 8 or out_channels % 8:
            raise ValueError(f"out_channels must be a multiple of 8, for the norms of the heads, got {out_channels}")
        strides = level_strides(self.stride) if strides is None else tuple(strides)
        pyramid = FeaturePyramid(self.channels, self.stride, out_channels=out_channels, strides=strides)
        sides = [list(level) for level in (anchor_sides(image_size, strides) if anchors is None else anchors)]
        if len(sides) != len(strides) or len({len(level) for level in sides}) != 1 or not sides[0]:
            raise ValueError(f"anchors must be as many sides for each of the strides {list(strides)}, got {sides}")
        if not ratios or min(*(side for level in sides for side in level), *ratios) <= 0:
            raise ValueError(f"anchors and ratios must be positive, got {sides} and {list(ratios)}")
        self.retinanet = RetinaNet(
            spatial_dims=2, num_classes=num_classes, num_anchors=len(sides[0]) * len(ratios), feature_extractor=pyramid
        )
        # "xy": boxes are x0, y0, x1, y1 and cells lie row by row; MONAI's default takes rows for x.
        generator = AnchorGenerator(sides, [tuple(ratios)] * len(sides), indexing="xy")  # type: ignore[arg-type]
        grids = [[math.ceil(image_size / stride)] * 2 for stride in strides]
        levels = generator.grid_anchors(grids, [[torch.tensor(stride)] * 2 for stride in strides])
        self.level_anchors = tuple(map(len, levels))
        self.register_buffer("anchors", torch.cat(levels), persistent=False)  # the settings make them

    def heads(self, image: torch.Tensor) -> dict[str, Any]:
        """What the loss reads.

        Args:
            image: [B, 3, S, S].

        Returns:
            ``logits`` [B, A, K] and ``deltas`` [B, A, 4] (of :func:`decode_boxes`) in float32, ``anchors`` [A, 4] in
            pixels, ``level_anchors``: how many each level has, ``cell_anchors``: how many each cell has.
        """
        maps = self.retinanet(self.features(image))
        return {
            "logits": _rows(maps[self.retinanet.cls_key], self.num_classes),
            "deltas": _rows(maps[self.retinanet.box_reg_key], 4),
            "anchors": self.anchors,
            "level_anchors": self.level_anchors,
            "cell_anchors": self.retinanet.num_anchors,
        }

    def decode(self, heads: dict[str, Any]) -> torch.Tensor:
        """Boxes and scores [B, A, 4 + K] of what :meth:`heads` gives."""
        return torch.cat([decode_boxes(heads["deltas"], heads["anchors"]), heads["logits"].sigmoid()], dim=2)


def build_retinanet(encoder: nn.Module, num_classes: int, **settings: Any) -> EncoderRetinaNet:
    """Build a RetinaNet on an encoder; the arguments are those of :class:`EncoderRetinaNet`."""
    return EncoderRetinaNet(encoder, num_classes, **settings)


def level_strides(encoder_stride: int, count: int = 4) -> tuple[int, ...]:
    """Strides of a pyramid, each twice the one before, that an encoder reaches and whose finest is nearest to 8.

    Args:
        encoder_stride: pixels of the image between two cells of the encoder's map.
        count: of the levels.

    Returns:
        For a stride of 4, 8, 16 or 32: 8, 16, 32, 64; for 14: 7, 14, 28, 56.
    """
    finest = encoder_stride
    while finest % 2 == 0 and finest > 8 * 2**0.5:
        finest //= 2
    while finest < 8 / 2**0.5:
        finest *= 2
    return tuple(finest * 2**level for level in range(count))


def anchor_sides(image_size: int, strides: Sequence[int], per_level: int = 3) -> list[list[float]]:
    """Sides of anchors in pixels, evenly spaced in logarithm from twice the finest stride up to the whole image.

    Nodules and lungs then both find an anchor near their size, whatever the size of the image.

    Args:
        image_size: side of the image in pixels.
        strides: of the levels, finest first.
        per_level: sides of a level, 2 or more.

    Returns:
        ``per_level`` rising sides for each level.
    """
    count = per_level * len(strides)
    low = min(2 * strides[0], image_size)
    sides = [low * (image_size / low) ** (i / (count - 1)) for i in range(count)]
    return [sides[i : i + per_level] for i in range(0, count, per_level)]


def decode_boxes(deltas: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Move and scale anchors: the decoding of MONAI's ``BoxCoder`` with unit weights.

    Written out because MONAI's branches on values, which ``torch.export`` cannot follow.

    Args:
        deltas: [..., 4]: shift of the center in widths and heights of the anchor, logarithm of the growth.
        anchors: [..., 4] x0, y0, x1, y1.

    Returns:
        Boxes [..., 4] x0, y0, x1, y1.
    """
    size = anchors[..., 2:] - anchors[..., :2]
    center = anchors[..., :2] + size / 2 + deltas[..., :2] * size
    half = deltas[..., 2:].clamp(max=MAX_GROWTH).exp() * size / 2
    return torch.cat([center - half, center + half], dim=-1)


def _rows(maps: list[torch.Tensor], channels: int) -> torch.Tensor:
    """Maps [B, anchors * channels, h, w] of the levels -> [B, A, channels], in the order of the anchors."""
    rows = [x.unflatten(1, (-1, channels)).permute(0, 3, 4, 1, 2).flatten(1, 3) for x in maps]
    return torch.cat(rows, dim=1).float()
