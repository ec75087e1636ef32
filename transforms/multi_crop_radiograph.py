# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Global and local crops of one radiograph, for self-distillation, with the way back to its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from radbundles.transforms.fit_radiograph import fit_content
from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone
from radbundles.transforms.rand_radiograph_crop import RandRadiographCrop

__all__ = ["MultiCropRadiographD", "MultiCropRadiographDict", "MultiCropRadiographd", "crops_to_original"]

Extent = tuple[int, int, int, int]  # top, left, bottom, right


class MultiCropRadiographd(Randomizable, MapTransform):
    """Cut random crops out of a radiograph, large (global) and small (local) ones, each augmented on its own.

    Source: DCXFM, official training transform. The image is fitted into a square (see
    :class:`~radbundles.transforms.FitRadiograph`); then for each crop anew: brightness and contrast, noise, a small
    shift and rotation of the image within its own borders, zero padding to the square, and a random resized crop of
    the square. No flip, which would swap left and right against the report, and no normalization (quirk Q11).

    What is computed is what lies under a crop, and nothing of it is interpolated twice but where the image is rotated.
    Deviations: values are not rounded to gray levels after each step, and crops are resized bilinear with antialiasing
    instead of by area.

    Added to the sample: ``<key>_global`` [G, channels, S, S] and, if there are any, ``<key>_local``
    [V, channels, s, s], plain float32 tensors in [0, 1]; and ``<key>_crops`` [G + V, 2, 3], float64, global ones first:
    the matrix that takes a place in a crop (x, y, 1), as fractions 0 to 1 of its sides, to (x, y) in pixels of the
    original image, shift and rotation included. :func:`crops_to_original` uses it for maps.

    Args:
        keys: keys of images [1, H, W] in [0, 1].
        global_crops: number G of global crops, 1 or more.
        local_crops: number V of local crops.
        global_size: side S of global crops in pixels.
        local_size: side s of local crops in pixels.
        fit_size: side of the square that is cropped.
        global_scale: least and greatest share of the square's area of a global crop.
        local_scale: likewise of a local crop.
        ratio: least and greatest width / height of a crop before it is resized.
        brightness: see :class:`~radbundles.transforms.RandRadiographTone`.
        contrast: likewise.
        jitter_probability: likewise.
        noise_variance: see :class:`~radbundles.transforms.RandRadiographNoise`.
        noise_probability: likewise.
        translate: greatest shift, as a share of each side of the fitted image.
        rotate: greatest rotation in degrees.
        affine_probability: of shift and rotation.
        channels: of the crops; noise differs between them.
        augment: ``False`` draws the crops alone. Under :class:`~radbundles.components.data.SeededDataset` they are
            the same at every validation, where the official code augments at random (quirk Q21).
        allow_missing_keys: do not fail for a missing key.

    Raises:
        ValueError: when an argument is out of range, or an image is not [1, H, W].
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        *,
        global_crops: int = 2,
        local_crops: int = 4,
        global_size: int = 512,
        local_size: int = 224,
        fit_size: int = 512,
        global_scale: tuple[float, float] = (0.6, 1.0),
        local_scale: tuple[float, float] = (0.3, 0.5),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        brightness: float = 0.2,
        contrast: float = 0.2,
        jitter_probability: float = 0.5,
        noise_variance: tuple[float, float] = (10.0, 50.0),
        noise_probability: float = 0.5,
        translate: float = 0.02,
        rotate: float = 2.0,
        affine_probability: float = 0.5,
        channels: int = 3,
        augment: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if global_crops < 1 or local_crops < 0:
            raise ValueError(
                f"global_crops must be 1 or more, local_crops 0 or more; got {global_crops}, {local_crops}"
            )
        if fit_size < 1:
            raise ValueError(f"fit_size must be 1 or more, got {fit_size}")
        if not 0 <= translate < 1:
            raise ValueError(f"translate must be a share of the sides, 0 or more and below 1, got {translate}")
        if not 0 <= rotate <= 180:
            raise ValueError(f"rotate must be within 0 and 180 degrees, got {rotate}")
        if not 0 <= affine_probability <= 1:
            raise ValueError(f"affine_probability must be within [0, 1], got {affine_probability}")
        self.views = {
            "global": (global_crops, RandRadiographCrop(global_size, scale=global_scale, ratio=ratio, flip=0)),
            "local": (local_crops, RandRadiographCrop(local_size, scale=local_scale, ratio=ratio, flip=0)),
        }
        self.tone = RandRadiographTone(brightness=brightness, contrast=contrast, probability=jitter_probability)
        self.noise = RandRadiographNoise(variance=noise_variance, probability=noise_probability, channels=channels)
        self.fit_size = fit_size
        self.translate = translate
        self.rotate = rotate
        self.affine_probability = affine_probability
        self.channels = channels
        self.augment = augment

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> MultiCropRadiographd:
        """Seed the draws, as :class:`monai.transforms.Randomizable`."""
        super().set_random_state(seed, state)
        for part in (self.tone, self.noise, *(crop for _, crop in self.views.values())):
            part.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Add the crops of each image."""
        cropped = dict(data)
        for key in self.key_iterator(data):
            image = data[key]
            if image.ndim != 3 or image.shape[0] != 1:
                raise ValueError(f"{key!r} must be [1, H, W], got {list(image.shape)}: load radiographs in gray")
            frame = FittedFrame(image.shape[-2], image.shape[-1], self.fit_size)
            content = fit_content(image, frame)
            matrices = []
            for name, (count, crop) in self.views.items():
                if count == 0:
                    continue
                views = torch.empty(count, self.channels, crop.size, crop.size)
                for view in views:
                    matrices.append(self._cut(content, frame, crop, view))
                cropped[f"{key}_{name}"] = views
            cropped[f"{key}_crops"] = torch.from_numpy(np.stack(matrices))
        return cropped

    def randomize(self, data: RandRadiographCrop) -> None:
        """Draw one crop, and how it is augmented."""
        data.randomize((self.fit_size, self.fit_size))
        self.shift = np.zeros(2)
        self.angle = 0.0
        self.moved = False
        if self.augment:
            self.tone.randomize()
            self.noise.randomize()
            self.moved = bool(self.R.random_sample() < self.affine_probability)
        if self.moved:
            self.shift = self.R.uniform(-self.translate, self.translate, 2)
            self.angle = math.radians(self.R.uniform(-self.rotate, self.rotate))

    def _cut(self, content: torch.Tensor, frame: FittedFrame, crop: RandRadiographCrop, view: torch.Tensor) -> Any:
        """Fill ``view`` [channels, size, size]; return the crop's matrix to original pixels [2, 3]."""
        self.randomize(crop)
        top, left, height, width = crop.box
        # The part of the crop that lies on the image and not on its padding, in pixels of the fitted image.
        bounds = np.array([frame.rows, frame.columns] * 2)
        start = np.array([top - frame.top, left - frame.left])
        part = np.clip([*start, *(start + (height, width))], 0, bounds)
        source = self._source(frame)
        pixels = content.new_zeros(1, height, width)
        if (part[2:] > part[:2]).all():
            pixels = self._augmented(content, tuple(part), source)
            before, after = part[:2] - start, start + (height, width) - part[2:]
            pixels = F.pad(pixels, (int(before[1]), int(after[1]), int(before[0]), int(after[0])))
        view[:] = F.interpolate(
            pixels[None], (crop.size, crop.size), mode="bilinear", antialias=True, align_corners=False
        )[0]
        to_fitted = np.array([[width, 0, start[1]], [0, height, start[0]], [0, 0, 1]], dtype=np.float64)
        to_original = np.diag([frame.width / frame.columns, frame.height / frame.rows])
        return to_original @ (source @ to_fitted)[:2]

    def _source(self, frame: FittedFrame) -> np.ndarray:
        """Matrix [3, 3] from places (x, y) in the moved image to the places in the fitted one that they show."""
        center = np.array([frame.columns, frame.rows]) / 2
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        matrix = np.eye(3)
        matrix[:2, :2] = rotation
        matrix[:2, 2] = center - rotation @ (center + self.shift * (frame.columns, frame.rows))
        return matrix

    def _augmented(self, content: torch.Tensor, part: Any, source: np.ndarray) -> torch.Tensor:
        """Return what a part (top, left, bottom, right) of the moved image shows, [channels or 1, rows, columns]."""
        top, left, bottom, right = (int(edge) for edge in part)
        if not self.augment:
            return content[:, top:bottom, left:right]
        toned = self.tone(content, randomize=False)
        if not self.moved:
            return self._noisy(toned[:, top:bottom, left:right])
        corners = np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
        x, y = (source @ corners)[:2]
        rows, columns = content.shape[-2:]
        y0, y1 = (int(np.clip(edge, 0, rows)) for edge in (y.min() - 1, y.max() + 2))
        x0, x1 = (int(np.clip(edge, 0, columns)) for edge in (x.min() - 1, x.max() + 2))
        if y0 == y1 or x0 == x1:
            return content.new_zeros(1, bottom - top, right - left)
        window = self._noisy(toned[:, y0:y1, x0:x1])
        # From [-1, 1] over the part to its places, to the places they show, to [-1, 1] over the window.
        onto = np.array(
            [
                [(right - left) / 2, 0, (left + right) / 2],
                [0, (bottom - top) / 2, (top + bottom) / 2],
                [0, 0, 1],
            ]
        )
        into = np.array([[2 / (x1 - x0), 0, -(x0 + x1) / (x1 - x0)], [0, 2 / (y1 - y0), -(y0 + y1) / (y1 - y0)]])
        theta = torch.from_numpy(into @ source @ onto)[None].to(window)
        grid = F.affine_grid(theta, [1, 1, bottom - top, right - left], align_corners=False)
        return F.grid_sample(window[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]

    def _noisy(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels if self.noise.draw is None else self.noise(pixels, randomize=False)


def crops_to_original(maps: torch.Tensor, crops: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring maps over crops to the pixels of the original image.

    Args:
        maps: [N, h, w] of any grid, one for each crop.
        crops: [N, 2, 3], see :class:`MultiCropRadiographd`.
        size: (height, width) of the original image.

    Returns:
        [N, height, width], bilinear; 0 outside of a crop.
    """
    plain = maps.as_tensor() if isinstance(maps, MetaTensor) else maps
    height, width = size
    square = torch.eye(3, dtype=torch.float64).repeat(len(crops), 1, 1)
    square[:, :2] = crops
    pixels = torch.tensor([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]], dtype=torch.float64)
    fractions = torch.linalg.solve(square, pixels.expand(len(crops), 3, 3))[:, :2]
    fractions[:, :, 2] -= 0.5
    theta = (2 * fractions).to(plain)
    grid = F.affine_grid(theta, [len(crops), 1, height, width], align_corners=False)
    values = F.grid_sample(plain[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]
    return values * (grid.abs() <= 1).all(dim=-1)


MultiCropRadiographD = MultiCropRadiographDict = MultiCropRadiographd
