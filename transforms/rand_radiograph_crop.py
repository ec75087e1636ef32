# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Random resized crop and flip of a radiograph, as ECAMP pre-trains with, that takes the context window along."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform

from radbundles.transforms.context_window import crop_fractions, window_fractions
from radbundles.transforms.resize_radiograph import resample

__all__ = ["RandRadiographCrop", "RandRadiographCropD", "RandRadiographCropDict", "RandRadiographCropd"]

_TRIES = 10


class RandRadiographCrop(Randomizable, Transform):
    """Cut a random part out of a radiograph, resize it to a square, flip it at random.

    Source: ECAMP, official data set code (random resized crop to 448, bicubic, then horizontal flip). The area of the
    part is a uniform share of the image, its aspect ratio log-uniform; after ten parts that do not fit, the largest
    central part within the ratios is taken. Bicubic with antialiasing and clamped to [0, 1], as Pillow does on 8 bits,
    but without its rounding to gray levels.

    A flip swaps left and right against the report ("left lower lobe") and puts the heart on the right; the paper
    flips half of the images, and so does the default. ``flip=0`` keeps reports true.

    Args:
        size: side of the square in pixels.
        scale: least and greatest share of the image's area.
        ratio: least and greatest width / height of the part, in pixels of the image.
        flip: probability of the flip.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        size: int,
        *,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be 1 or more, got {size}")
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale must be (least, greatest) within (0, 1], got {scale}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio must be (least, greatest) above 0, got {ratio}")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip must be a probability, got {flip}")
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.box = (0, 0, 1, 1)
        self.flipped = False

    def randomize(self, data: tuple[int, int]) -> None:
        """Draw the part, ``box`` (top, left, height, width), and ``flipped`` for an image of (height, width)."""
        height, width = data
        self.box = self._draw_box(height, width)
        self.flipped = bool(self.R.random_sample() < self.flip)

    def _draw_box(self, height: int, width: int) -> tuple[int, int, int, int]:
        for _ in range(_TRIES):
            area = height * width * self.R.uniform(*self.scale)
            aspect = math.exp(self.R.uniform(*np.log(self.ratio)))
            rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < rows <= height and 0 < columns <= width:
                top = int(self.R.randint(0, height - rows + 1))
                return top, int(self.R.randint(0, width - columns + 1)), rows, columns
        rows = min(height, max(1, round(width / self.ratio[0])))
        columns = min(width, max(1, round(height * self.ratio[1])))
        return (height - rows) // 2, (width - columns) // 2, rows, columns

    def __call__(self, image: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Crop one image.

        Args:
            image: [C, H, W] in [0, 1].
            randomize: draw a new part; False repeats the last one.

        Returns:
            [C, size, size]; a MetaTensor's affine follows, and its meta gains ``crop`` (top, left, height, width) in
            pixels of the image and ``flipped``.
        """
        if randomize:
            self.randomize((image.shape[-2], image.shape[-1]))
        return resample(image, self.box, (self.size, self.size), flipped=self.flipped)


class RandRadiographCropd(Randomizable, MapTransform):
    """Dictionary twin of :class:`RandRadiographCrop`, which moves the context window with the image.

    Deviation: the official code leaves the window where it lay in the whole image, so that it marks other content
    than the report's entities once the image is cropped and flipped (quirk Q2). ``move_window=False`` does as it does.

    Args:
        keys: keys of images [C, H, W] in [0, 1], all of the same height and width; they share one part and flip.
        size: see :class:`RandRadiographCrop`.
        scale: likewise.
        ratio: likewise.
        flip: likewise.
        window_key: key of the context window [i, j], the top-left cell of the window on the grid of the whole image;
            missing means the one in the middle. Replaced by float32 [4]: (y0, x0, y1, x1), the part of the window
            that is left, as fractions of the augmented image; all of it, (0, 0, 1, 1), if the window was cropped away
            (with the default grid and scale it never is). None leaves windows alone.
        grid: cells along each side of the image.
        window_cells: cells along each side of the window.
        move_window: False for (i, j, i + 12, j + 12) / 14 whatever was cropped.
        allow_missing_keys: do not fail for a missing key.

    Raises:
        ValueError: when an argument is out of range, images differ in size or a window is off the grid.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        size: int,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        window_key: str | None = "window",
        grid: int = 14,
        window_cells: int = 12,
        move_window: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.crop = RandRadiographCrop(size, scale=scale, ratio=ratio, flip=flip)
        self.window_key = window_key
        self.grid = grid
        self.window_cells = window_cells
        self.move_window = move_window

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandRadiographCropd:
        """Seed the draws, as :class:`monai.transforms.Randomizable`."""
        self.crop.set_random_state(seed, state)
        super().set_random_state(state=self.crop.R)
        return self

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Crop the images and move the window."""
        cropped = dict(data)
        shape: tuple[int, int] | None = None
        for key in self.key_iterator(cropped):
            height, width = cropped[key].shape[-2:]
            if shape is None:
                shape = (height, width)
                self.crop.randomize(shape)
            elif shape != (height, width):
                raise ValueError(f"{key!r} is {height} x {width}, but the first key is {shape[0]} x {shape[1]}")
            cropped[key] = self.crop(cropped[key], randomize=False)
        if self.window_key is not None:
            cropped[self.window_key] = self._window(data.get(self.window_key), shape)
        return cropped

    def _window(self, window: Any, shape: tuple[int, int] | None) -> torch.Tensor:
        fractions = window_fractions(window, grid=self.grid, window_cells=self.window_cells)
        if self.move_window and shape is not None:
            top, left, rows, columns = self.crop.box
            kept = (top / shape[0], left / shape[1], (top + rows) / shape[0], (left + columns) / shape[1])
            fractions = crop_fractions(fractions, kept, flipped=self.crop.flipped)
        return torch.tensor(fractions, dtype=torch.float32)


RandRadiographCropD = RandRadiographCropDict = RandRadiographCropd
