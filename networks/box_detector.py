# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What every detector is: an encoder, heads on its features, boxes and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import nn

from radbundles.networks.select_boxes import select_boxes

MAX_GROWTH = 4.135166556742356
"""Bound of the logarithm by which a box may be larger than its anchor: log(1000 / 16), that of MONAI's box coder."""


class BoxDetector(nn.Module, ABC):
    """A detector of boxes in images of one size.

    Its state dict has the encoder under ``encoder.*``. Subclasses say what the heads give, which the loss reads, and
    how boxes are made of it.

    Args:
        encoder: image [B, 3, S, S] -> [B, C, h, w], with the attributes ``out_channels`` (C) and ``stride``.
        num_classes: K.
        image_size: S in pixels, a multiple of the encoder's stride.
        trained: "all", or "head": the encoder is frozen, and stays in eval mode.

    Raises:
        ValueError: if a setting is out of range or the size does not fit the encoder.
    """

    encoder: nn.Module

    def __init__(
        self, encoder: nn.Module, *, num_classes: int, image_size: int, trained: Literal["all", "head"]
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        if trained not in ("all", "head"):
            raise ValueError(f'trained must be "all" or "head", got {trained!r}')
        self.channels, self.stride = _number(encoder, "out_channels"), _number(encoder, "stride")
        if image_size < 1 or image_size % self.stride:
            raise ValueError(f"image_size must be a multiple of the encoder's stride {self.stride}, got {image_size}")
        self.encoder = encoder
        self.num_classes, self.image_size, self.trained = num_classes, image_size, trained
        if trained == "head":
            encoder.requires_grad_(False).eval()

    @abstractmethod
    def heads(self, image: torch.Tensor) -> dict[str, Any]:
        """What the loss reads: raw outputs in float32 and the anchors they refer to."""

    @abstractmethod
    def decode(self, heads: dict[str, Any]) -> torch.Tensor:
        """Boxes and scores [B, A, 4 + K] of what :meth:`heads` gives."""

    def train(self, mode: bool = True) -> BoxDetector:
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.trained == "head":
            self.encoder.eval()
        return self

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """Encode images [B, 3, S, S]; any other size is refused, since the anchors were made for this one."""
        if tuple(image.shape[-2:]) != (self.image_size, self.image_size):
            size = " x ".join(map(str, image.shape[-2:]))
            raise ValueError(f"the detector was built for {self.image_size} x {self.image_size} pixels, got {size}")
        return self.encoder(image)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Score every box the detector can tell of.

        Args:
            image: [B, 3, S, S].

        Returns:
            [B, A, 4 + K] float32: x0, y0, x1, y1 in pixels of the square, and scores 0..1 of the K classes.
        """
        return self.decode(self.heads(image))

    def detect(
        self, pred: torch.Tensor, *, score_threshold: float = 0.05, nms_iou: float = 0.5, max_detections: int = 100
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Boxes, scores and classes of each image out of what :meth:`forward` gives, by :func:`select_boxes`."""
        return select_boxes(
            pred,
            self.image_size,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )


def _number(encoder: nn.Module, name: str) -> int:
    value = getattr(encoder, name, None)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(encoder).__name__} needs an attribute {name}, a positive int, got {value!r}")
    return value
