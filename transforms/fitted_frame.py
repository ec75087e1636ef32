# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How an image lies in the square that a network reads, and the way back from that square to its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from monai.data import MetaTensor

__all__ = ["FittedFrame"]


@dataclass(frozen=True)
class FittedFrame:
    """An image of (height, width) in a square of ``size``: its longest side fills the square, the rest is padding.

    Source: DCXFM, official evaluation transform: sides are rounded half to even, the smaller half of the padding
    stands above and to the left. No side shrinks below one pixel. Positions are measured from the upper left corner of
    the image, x to the right and y down; pixel 0 reaches from 0 to 1.

    Args:
        height: of the original image in pixels.
        width: likewise.
        size: side of the square in pixels.

    Raises:
        ValueError: when an extent is below 1.
    """

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.size) < 1:
            raise ValueError(f"height, width and size must be 1 or more, got {self}")

    @classmethod
    def of(cls, image: MetaTensor | Mapping[str, Any]) -> FittedFrame:
        """Return the frame that :class:`~radbundles.transforms.FitRadiograph` noted in an image or in its meta.

        Raises:
            ValueError: when there is none.
        """
        meta = image.meta if isinstance(image, MetaTensor) else image
        if "fitted_frame" not in meta:
            raise ValueError("the image was not fitted: its meta has no 'fitted_frame'. Apply FitRadiograph")
        height, width, size = (int(extent) for extent in meta["fitted_frame"])
        return cls(height, width, size)

    @property
    def rows(self) -> int:
        """Height in the square."""
        return max(1, round(self.height * self.size / max(self.height, self.width)))

    @property
    def columns(self) -> int:
        """Width in the square."""
        return max(1, round(self.width * self.size / max(self.height, self.width)))

    @property
    def top(self) -> int:
        """Rows of padding above."""
        return (self.size - self.rows) // 2

    @property
    def left(self) -> int:
        """Columns of padding to the left."""
        return (self.size - self.columns) // 2

    def to_original(self, maps: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
        """Bring maps over the square to the pixels of the original image.

        The padding is cut off where it ends, which need not be where a cell ends. Values are interpolated as they
        are: apply a sigmoid or a threshold afterwards (quirk Q26).

        Args:
            maps: [..., h, w] of any grid, for example 16 x 16; it covers the whole square.
            mode: ``"bilinear"`` between the centers of cells, and averaging where a pixel covers several cells;
                or ``"nearest"``, which keeps the type.

        Returns:
            [..., height, width]; for ``"bilinear"`` at least float32, whatever autocast is on.
        """
        plain = maps.as_tensor() if isinstance(maps, MetaTensor) else maps
        h, w = plain.shape[-2:]
        ends = (self.top / self.size, (self.top + self.rows) / self.size)
        sides = (self.left / self.size, (self.left + self.columns) / self.size)
        if mode == "nearest":
            down = _centers(h, self.height, *ends).long().clamp_(max=h - 1).to(plain.device)
            across = _centers(w, self.width, *sides).long().clamp_(max=w - 1).to(plain.device)
            return plain[..., down[:, None], across]
        if mode != "bilinear":
            raise ValueError(f"mode must be 'bilinear' or 'nearest', got {mode!r}")
        if not plain.is_floating_point() or plain.dtype.itemsize < 4:
            plain = plain.float()
        down, across = _weights(h, self.height, *ends).to(plain), _weights(w, self.width, *sides).to(plain)
        # Two thin products instead of a gather: nothing of the size of the result but the result.
        with torch.autocast(plain.device.type, enabled=False):
            stretched = plain.reshape(-1, w) @ across.T  # [N·h, w] → [N·h, width]
            stretched = stretched.view(-1, h, self.width)
            restored = torch.bmm(down.expand(len(stretched), -1, -1), stretched)  # → [N, height, width]
        return restored.view(*plain.shape[:-2], self.height, self.width)

    def boxes_to_fitted(self, boxes: torch.Tensor) -> torch.Tensor:
        """Move boxes [N, 4] (x0, y0, x1, y1; ends exclusive) from the original image into the square."""
        original, fitted, offset = self._sides(boxes)
        return boxes * fitted.repeat(2) / original.repeat(2) + offset.repeat(2)

    def boxes_to_original(self, boxes: torch.Tensor) -> torch.Tensor:
        """Move boxes [N, 4] from the square to the original image, cut at its border.

        A box that lies in the padding alone comes back without area.
        """
        return self.point_to_original(boxes.reshape(-1, 2)).reshape(boxes.shape)

    def point_to_original(self, points: torch.Tensor) -> torch.Tensor:
        """Move points [..., 2] (x, y) from the square to the original image; those in the padding to its border."""
        original, fitted, offset = self._sides(points)
        return torch.minimum(((points - offset) * original / fitted).clamp_(min=0), original)

    def _sides(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sides (x, y) of the original and the fitted image, and where the latter begins in the square."""
        dtype = like.dtype if like.is_floating_point() else torch.float32
        sides = [(self.width, self.height), (self.columns, self.rows), (self.left, self.top)]
        original, fitted, offset = torch.tensor(sides, dtype=dtype, device=like.device)
        return original, fitted, offset


def _centers(cells: int, pixels: int, start: float, stop: float) -> torch.Tensor:
    """Where the centers of pixels lie, counted in cells; the pixels span from ``start`` to ``stop`` of all cells."""
    return ((torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels * (stop - start) + start) * cells


@lru_cache(maxsize=64)
def _weights(cells: int, pixels: int, start: float, stop: float) -> torch.Tensor:
    """Share [pixels, cells] of each cell in each pixel: a triangle two cells wide, or two pixels if that is wider."""
    with torch.inference_mode(False):  # what is kept must be fit for any later use
        reach = max(1.0, (stop - start) * cells / pixels)
        distance = _centers(cells, pixels, start, stop)[:, None] - (torch.arange(cells) + 0.5)
        weights = (1 - distance.abs() / reach).clamp_(min=0)
        return weights / weights.sum(dim=1, keepdim=True)
