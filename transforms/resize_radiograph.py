# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Resize a whole radiograph to the square a network reads, and bring maps back to the original pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from radbundles.transforms.context_window import window_fractions

__all__ = [
    "ResizeRadiograph",
    "ResizeRadiographD",
    "ResizeRadiographDict",
    "ResizeRadiographd",
    "index_matrix",
    "placed",
    "resample",
]


def resample(
    image: torch.Tensor,
    box: tuple[int, int, int, int],
    size: tuple[int, int],
    *,
    flipped: bool = False,
    mode: str = "bicubic",
) -> torch.Tensor:
    """Cut a box out of an image and resize it with antialiasing as Pillow does, clamped to [0, 1].

    Args:
        image: [C, H, W] in [0, 1]; of a MetaTensor the affine follows, and meta gains ``crop`` and ``flipped``.
        box: (top, left, height, width) in pixels.
        size: (height, width) of the result.
        flipped: flip the result left to right.
        mode: ``"bicubic"`` or ``"bilinear"``.

    Returns:
        [C, height, width], of the type of ``image``.
    """
    top, left, height, width = box
    pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
    crop = pixels[None, :, top : top + height, left : left + width]
    resized = F.interpolate(crop, size, mode=mode, antialias=True, align_corners=False)[0].clamp_(0.0, 1.0)
    if flipped:
        resized = resized.flip(-1)
    if not isinstance(image, MetaTensor):
        return resized
    rows, columns = height / size[0], width / size[1]
    start = left + width - 0.5 * columns if flipped else left + 0.5 * columns
    step = index_matrix(rows, top + 0.5 * rows, -columns if flipped else columns, start)
    return placed(resized, image, step, crop=(top, left, height, width), flipped=flipped)


def index_matrix(rows: float, top: float, columns: float, left: float) -> torch.Tensor:
    """Matrix from pixel indices of a result to those of its source: pixel sizes, and where the first pixel lies.

    ``top`` and ``left`` are measured from the outer edge of the source; its first pixel's center is at 0.5.
    """
    return torch.tensor(
        [[rows, 0, 0, top - 0.5], [0, columns, 0, left - 0.5], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64
    )


def placed(pixels: torch.Tensor, source: MetaTensor, step: torch.Tensor, **meta: Any) -> MetaTensor:
    """Give pixels the meta of their source, with the affine that follows ``step`` of :func:`index_matrix`."""
    meta = {**source.meta, "affine": source.affine.to(step) @ step, **meta}
    return MetaTensor(pixels, meta=meta, applied_operations=source.applied_operations)


class ResizeRadiograph(InvertibleTransform):
    """Resize a whole image to a square, bicubic with antialiasing, clamped to [0, 1].

    The deterministic twin of :class:`~radbundles.transforms.RandRadiographCrop` for validation and inference. MONAI's
    Resize smooths with a Gaussian before it interpolates; this resizes exactly as that twin does.

    Args:
        size: side of the square in pixels.

    Raises:
        ValueError: when size is below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be 1 or more, got {size}")
        self.size = size

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Resize [C, H, W] to [C, size, size]."""
        height, width = image.shape[-2:]
        resized = resample(image, (0, 0, height, width), (self.size, self.size))
        if isinstance(resized, MetaTensor):
            self.push_transform(resized, orig_size=(height, width))
        return resized

    def inverse(self, image: torch.Tensor) -> torch.Tensor:
        """Resize an image or a map [C, h, w] back to the height and width the image came with, bilinear."""
        size = tuple(int(extent) for extent in self.pop_transform(image)[TraceKeys.ORIG_SIZE])
        pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
        floating = pixels if pixels.is_floating_point() else pixels.float()
        restored = F.interpolate(floating[None], size, mode="bilinear", align_corners=False)[0]
        if not isinstance(image, MetaTensor):
            return restored
        rows, columns = pixels.shape[-2] / size[0], pixels.shape[-1] / size[1]
        return placed(restored, image, index_matrix(rows, 0.5 * rows, columns, 0.5 * columns))


class ResizeRadiographd(MapTransform, InvertibleTransform):
    """Dictionary twin of :class:`ResizeRadiograph`, which also turns the context window into fractions.

    MONAI's ``Invertd(keys="pred", transform=..., orig_keys="image")`` brings maps back to the original pixels.

    Args:
        keys: keys of images [C, H, W].
        size: side of the square in pixels.
        window_key: key of the context window [i, j]; missing means the one in the middle. Replaced by float32 [4]
            (y0, x0, y1, x1). None leaves windows alone.
        grid: see :func:`~radbundles.transforms.context_window.window_fractions`.
        window_cells: likewise.
        allow_missing_keys: do not fail for a missing key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        size: int,
        window_key: str | None = "window",
        grid: int = 14,
        window_cells: int = 12,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resize = ResizeRadiograph(size)
        self.window_key = window_key
        self.grid = grid
        self.window_cells = window_cells

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Resize the images and place the window."""
        resized = dict(data)
        for key in self.key_iterator(resized):
            resized[key] = self.resize(resized[key])
        if self.window_key is not None:
            window = window_fractions(data.get(self.window_key), grid=self.grid, window_cells=self.window_cells)
            resized[self.window_key] = torch.tensor(window, dtype=torch.float32)
        return resized

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Bring the images, or maps that took over their trace, back to the original size."""
        restored = dict(data)
        for key in self.key_iterator(restored):
            restored[key] = self.resize.inverse(restored[key])
        return restored


ResizeRadiographD = ResizeRadiographDict = ResizeRadiographd
