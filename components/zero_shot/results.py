# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What zero-shot use returns, in the pixels of the image as it was read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from radbundles.components.inference import Concern
from radbundles.components.inference.outline import Polygon, outline
from radbundles.components.zero_shot.locate import Place
from radbundles.networks import ImageFeatures
from radbundles.transforms import FittedFrame


@dataclass(frozen=True)
class ImageEmbedding:
    """Features of images, to ask several questions of without encoding them again.

    Attributes:
        cells: [B, D, h, w] float32, not normalized.
        pooled: mean of the cells scaled to length 1, [B, D] float32.
        frames: how each image lies in the square that the network saw.
        concerns: what makes an answer about each image doubtful.
        guidance: finer features [B, channels, ...] of a network that uses such, float32.
    """

    cells: torch.Tensor
    pooled: torch.Tensor
    frames: tuple[FittedFrame, ...]
    concerns: tuple[tuple[Concern, ...], ...]
    guidance: tuple[torch.Tensor, ...] = ()

    @property
    def features(self) -> ImageFeatures:
        """What the network compares with texts."""
        return ImageFeatures(self.cells, self.guidance)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> ImageEmbedding:
        """Return the embedding of one image, still with its batch axis."""
        place = range(len(self))[index]
        one = slice(place, place + 1)
        guidance = tuple(level[one] for level in self.guidance)
        return ImageEmbedding(self.cells[one], self.pooled[one], self.frames[one], self.concerns[one], guidance)

    def __iter__(self) -> Iterator[ImageEmbedding]:
        return (self[place] for place in range(len(self)))


@dataclass(frozen=True, repr=False)
class _Located:
    """Shared by what lies somewhere: the similarity with the whole image, and where it stands out.

    Attributes:
        similarity: of the whole image, a cosine.
        cells: map [h, w] over the square that the network saw.
        frame: how the image lies in that square.
        place: point, peak, threshold and boxes.
        logits: the cells are logits, and the values of the map their sigmoid.
    """

    similarity: float
    cells: torch.Tensor
    frame: FittedFrame
    place: Place
    logits: bool = field(default=False, kw_only=True)

    @property
    def point(self) -> tuple[float, float]:
        """(x, y) of the highest value of the map, in pixels."""
        return self.place.point

    @property
    def peak(self) -> float:
        """Highest value of the map."""
        return self.place.peak

    @property
    def boxes(self) -> np.ndarray:
        """[n, 4] float32 (x0, y0, x1, y1) in pixels, ends exclusive; n may be 0."""
        return self.place.boxes

    @property
    def scores(self) -> np.ndarray:
        """Highest value of the map inside each box's component, [n] float32, falling."""
        return self.place.scores

    @property
    def map(self) -> np.ndarray:
        """The map in the pixels of the image, [H, W] float32; made anew at each use, so keep it for a second one.

        A network's logits are interpolated and freed of the padding before the sigmoid (quirk Q26).
        """
        values = self.frame.to_original(self.cells)
        return (values.sigmoid_() if self.logits else values).cpu().numpy()

    @property
    def mask(self) -> np.ndarray:
        """1 where the map reaches the threshold of the boxes, [H, W] uint8; made anew at each use."""
        return (self.map >= self.place.threshold).view(np.uint8)

    @property
    def polygons(self) -> list[Polygon]:
        """Outlines of the mask, with vertices between pixels; made anew at each use."""
        level = self.place.threshold
        return outline(self.cells, self.frame, math.log(level / (1 - level)) if self.logits else level)


@dataclass(frozen=True, repr=False)
class Grounding(_Located):
    """Where a phrase lies in an image. Values are cosines, or scores of :class:`DenseZeroShot`; no probabilities.

    Attributes:
        phrase: what was asked.
    """

    phrase: str

    def __repr__(self) -> str:
        return f"Grounding({self.phrase!r}, {_told(self)})"


@dataclass(frozen=True, repr=False)
class Segmentation(_Located):
    """Where a class lies in an image.

    Values are mean cosines, scores against the denied prompts in [0, 1], or scores of :class:`DenseZeroShot`.

    Attributes:
        name: the class.
    """

    name: str

    def __repr__(self) -> str:
        return f"Segmentation({self.name!r}, {_told(self)})"


def _told(found: _Located) -> str:
    value = f"score={found.peak:.3f}" if found.logits else f"similarity={found.similarity:.3f}"
    return f"{value}, {len(found.boxes)} boxes"
