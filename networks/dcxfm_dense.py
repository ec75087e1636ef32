# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of DCXFM's second stage: masks of any classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.cost_aggregator import CostAggregator
from radbundles.networks.dcxfm import DCXFM
from radbundles.networks.image_tower import ImageTower
from radbundles.networks.text_tower import TextTower


class ImageFeatures(NamedTuple):
    """What the aggregation needs of images, whatever the classes."""

    cells: torch.Tensor
    """[B, dim, h, w]."""
    guidance: tuple[torch.Tensor, ...] = ()
    """Features of the encoder at the grid of the cells, twice and four times that, as far as they are used."""


class DCXFMDense(nn.Module):
    """The towers of stage 1 and the cost aggregation of stage 2: logits of a mask for each class.

    Source: Wang and Yu, "Scaling Chest X-ray Foundation Models from Mixed Supervisions for Dense Prediction", IEEE TMI
    2025, doi 10.1109/tmi.2025.3589928; official stage-2 code. Texts are encoded by whoever calls, once for all images:
    the official code encodes them at every step (quirk Q14).

    The published sizes::

        DCXFMDense(DCXFM(...), CostAggregator())

    Args:
        dcxfm: the towers.
        aggregator: if it uses guidance, the image encoder must have ``stages`` and ``stage_channels`` as
            :class:`~radbundles.networks.ResNetEncoder` has.

    Raises:
        ValueError: if the encoder cannot give the guidance that the aggregator uses.
    """

    def __init__(self, dcxfm: DCXFM, aggregator: CostAggregator) -> None:
        super().__init__()
        self.dcxfm = dcxfm
        self.aggregator = aggregator
        dims = aggregator.guidance_dims
        self._guidance = max((number for number, channels in enumerate(dims, start=1) if channels), default=0)
        if self._guidance:
            encoder = dcxfm.image.encoder
            channels = getattr(encoder, "stage_channels", None)
            if channels is None or not hasattr(encoder, "stages"):
                raise ValueError(
                    f"{type(encoder).__name__} has no stages that could guide: set the dims of guidance to 0"
                )
            given = tuple(channels[::-1][: self._guidance])
            if len(given) < self._guidance or any(a not in (0, b) for a, b in zip(dims, given, strict=False)):
                raise ValueError(
                    f"the aggregator wants guidance of {list(dims)} channels, the stages of {type(encoder).__name__} "
                    f"have, from coarse to fine, {list(channels[::-1])}"
                )

    @property
    def image(self) -> ImageTower:
        """The image tower."""
        return self.dcxfm.image

    @property
    def text(self) -> TextTower:
        """The text tower."""
        return self.dcxfm.text

    @property
    def dim(self) -> int:
        """Width of the space that cells and prompts share."""
        return self.dcxfm.dim

    def encode_image(self, image: torch.Tensor) -> ImageFeatures:
        """Encode images [B, C, H, W] once for any number of calls of :meth:`aggregate`."""
        if not self._guidance:
            return ImageFeatures(self.image(image))
        encoder: Any = self.image.encoder
        stages: list[torch.Tensor] = encoder.stages(image)
        cells = self.image.project(stages[-1])
        h, w = cells.shape[2:]
        guidance = []
        for number, stage in enumerate(stages[::-1][: self._guidance]):
            size = (h * 2**number, w * 2**number)
            if tuple(stage.shape[2:]) != size:  # sides that strides rounded up
                stage = F.interpolate(stage, size=size, mode="bilinear", align_corners=False)
            guidance.append(stage)
        return ImageFeatures(cells, tuple(guidance))

    def aggregate(self, features: ImageFeatures, prompts: torch.Tensor) -> torch.Tensor:
        """Logits [B, T, 4h, 4w] of encoded images for prompts [T, C, dim] or [B, T, C, dim]."""
        return self.aggregator(features.cells, prompts, features.guidance)

    def forward(self, image: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """Predict masks.

        Args:
            image: [B, C, H, W].
            prompts: of T classes, [T, C, dim], or those of each image, [B, T, C, dim].

        Returns:
            Logits [B, T, H, W], float32; up-sampled before any sigmoid (quirk Q26).
        """
        logits = self.aggregate(self.encode_image(image), prompts)
        return F.interpolate(logits, size=image.shape[2:], mode="bilinear", align_corners=False)
