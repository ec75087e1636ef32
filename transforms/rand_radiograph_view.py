# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One random view of a radiograph: brightness, contrast, noise, a small movement, and a crop of the padded square."""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.transforms import Randomizable

from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone
from radbundles.transforms.rand_radiograph_crop import RandRadiographCrop
from radbundles.transforms.warp_radiograph import reach, warp

__all__ = ["RandRadiographView"]


class RandRadiographView(Randomizable):
    """Cut one augmented crop out of an image that is resized to fit a square.

    Source: DCXFM, official training transform: brightness and contrast, noise, shift and rotation of the image within
    its own borders, centered zero padding to the square, random resized crop of the square. Only what lies under the
    crop is computed, and movement, crop and resizing are one interpolation.

    Args:
        crop: size, and how the crop is drawn.
        tone: changes brightness and contrast; None leaves them.
        noise: adds noise; None adds none.
        translate: greatest shift, as a share of each side of the image.
        rotate: greatest rotation in degrees.
        probability: of shift and rotation.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        crop: RandRadiographCrop,
        *,
        tone: RandRadiographTone | None = None,
        noise: RandRadiographNoise | None = None,
        translate: float = 0.02,
        rotate: float = 2.0,
        probability: float = 0.5,
    ) -> None:
        if not 0 <= translate < 1:
            raise ValueError(f"translate must be a share of the sides, 0 or more and below 1, got {translate}")
        if not 0 <= rotate <= 180:
            raise ValueError(f"rotate must be within 0 and 180 degrees, got {rotate}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be within [0, 1], got {probability}")
        self.crop = crop
        self.tone = tone
        self.noise = noise
        self.translate = translate
        self.rotate = rotate
        self.probability = probability
        self.shift = np.zeros(2)
        self.angle = 0.0

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandRadiographView:
        """Seed the draws, as :class:`monai.transforms.Randomizable`."""
        super().set_random_state(seed, state)
        for part in (self.crop, self.tone, self.noise):
            if part is not None:
                part.set_random_state(state=self.R)
        return self

    def randomize(self, data: int) -> None:
        """Draw a view of a square of side ``data``: ``crop.box``, tone, noise, ``shift`` (x, y) and ``angle``."""
        self.crop.randomize((data, data))
        for part in (self.tone, self.noise):
            if part is not None:
                part.randomize()
        self.shift, self.angle = np.zeros(2), 0.0
        if self.R.random_sample() < self.probability:
            self.shift = self.R.uniform(-self.translate, self.translate, 2)
            self.angle = math.radians(self.R.uniform(-self.rotate, self.rotate))

    def __call__(
        self, content: torch.Tensor, frame: FittedFrame, randomize: bool = True
    ) -> tuple[torch.Tensor, np.ndarray]:
        """Cut one view.

        Args:
            content: [1, rows, columns] in [0, 1], the image as it lies in its frame, without padding.
            frame: how it lies there.
            randomize: draw a new view; False repeats the last one.

        Returns:
            [C, size, size], C of the noise or 1; and the matrix [2, 3] that takes (x, y, 1), fractions of the crop, to
            (x, y) in pixels of the original image.
        """
        if randomize:
            self.randomize(frame.size)
        top, left, height, width = self.crop.box
        size = self.crop.size
        start = (left - frame.left, top - frame.top)
        matrix = self._movement(frame) @ [[width, 0, start[0]], [0, height, start[1]], [0, 0, 1]]
        # The pixels of the crop whose centers lie on the image; movement does not reach the padding around it.
        x0, x1 = _inside(start[0], width, frame.columns, size)
        y0, y1 = _inside(start[1], height, frame.rows, size)
        part = matrix @ np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0], [0, 0, size]]) / size
        window = reach(part, frame.rows, frame.columns)
        part[:, 2] -= window[1].start, window[0].start
        pixels = content if self.tone is None else self.tone(content, randomize=False)
        pixels = pixels[:, window[0], window[1]]
        if self.noise is not None:
            pixels = self.noise(pixels, randomize=False)
        view = pixels.new_zeros(pixels.shape[0], size, size)
        if x0 < x1 and y0 < y1:
            view[:, y0:y1, x0:x1] = warp(pixels, part, (y1 - y0, x1 - x0))
        return view, matrix * [[frame.width / frame.columns], [frame.height / frame.rows]]

    def _movement(self, frame: FittedFrame) -> np.ndarray:
        """Matrix [2, 3] from places in the moved image to those in the resting one that they show."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        sides = np.array([frame.columns, frame.rows])
        return np.column_stack([rotation, sides / 2 - rotation @ (sides / 2 + self.shift * sides)])


def _inside(start: int, extent: int, content: int, size: int) -> tuple[int, int]:
    """First pixel of a crop, out of ``size`` over ``extent``, whose center lies within [0, content), and the end."""
    first, end = (math.ceil((edge - start) * size / extent - 0.5) for edge in (0, content))
    return min(max(first, 0), size), min(max(end, 0), size)
