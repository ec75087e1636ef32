# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Global and local crops of one radiograph, for self-distillation, with the way back to its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from radbundles.transforms.fit_radiograph import fit_content
from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone
from radbundles.transforms.rand_radiograph_crop import RandRadiographCrop
from radbundles.transforms.rand_radiograph_view import RandRadiographView

__all__ = ["MultiCropRadiographD", "MultiCropRadiographDict", "MultiCropRadiographd"]


class MultiCropRadiographd(Randomizable, MapTransform):
    """Cut random crops out of a radiograph, large (global) and small (local) ones, each augmented on its own.

    Source: DCXFM, official training transform. The image is fitted into a square (see
    :class:`~radbundles.transforms.FitRadiograph`), once; then for each crop anew: brightness and contrast, noise, a
    small shift and rotation of the image within its own borders, zero padding to the square, and a random resized crop
    of the square. No flip, which would swap left and right against the report, and no normalization (quirk Q11).

    Deviations: shift, rotation, crop and resizing are one bilinear interpolation instead of two, where the crop
    shrinks with the mean of four samples or more in place of the mean over an area; values are not rounded to gray
    levels after each step.

    Added to the sample: ``<key>_global`` [G, channels, S, S] and, if there are any, ``<key>_local``
    [V, channels, s, s], plain float32 tensors in [0, 1]; and ``<key>_crops`` [G + V, 2, 3], float64, global ones first:
    the matrix that takes a place in a crop (x, y, 1), as fractions 0 to 1 of its sides, to (x, y) in pixels of the
    original image, shift and rotation included. :func:`crops_to_original` uses it for maps.

    An image that :class:`~radbundles.transforms.FitRadiograph` has fitted to ``fit_size`` already, for example before
    it was cached, gives the same crops, and the matrices still lead to its original pixels.

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
        ValueError: when an argument is out of range, or an image is not [1, H, W] or was fitted to another size.
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
            raise ValueError(f"global_crops must be 1 or more (local_crops 0), got {global_crops} and {local_crops}")
        if fit_size < 1:
            raise ValueError(f"fit_size must be 1 or more, got {fit_size}")
        tone = RandRadiographTone(brightness=brightness, contrast=contrast, probability=jitter_probability)
        noise = RandRadiographNoise(variance=noise_variance, probability=noise_probability, channels=channels)
        self.views = {
            name: RandRadiographView(
                RandRadiographCrop(size, scale=scale, ratio=ratio, flip=0),
                tone=tone if augment else None,
                noise=noise if augment else None,
                translate=translate,
                rotate=rotate,
                probability=affine_probability if augment else 0,
            )
            for name, size, scale in (("global", global_size, global_scale), ("local", local_size, local_scale))
        }
        self.counts = {"global": global_crops, "local": local_crops}
        self.fit_size = fit_size
        self.channels = channels

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> MultiCropRadiographd:
        """Seed the draws, as :class:`monai.transforms.Randomizable`."""
        super().set_random_state(seed, state)
        for view in self.views.values():
            view.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Add the crops of each image."""
        cropped = dict(data)
        for key in self.key_iterator(data):
            image = data[key]
            if image.ndim != 3 or image.shape[0] != 1:
                raise ValueError(f"{key!r} must be [1, H, W], got {list(image.shape)}: load radiographs in gray")
            frame, content = self._fit(key, image)
            matrices = []
            for name, count in self.counts.items():
                if count == 0:
                    continue
                size = self.views[name].crop.size
                crops = torch.empty(count, self.channels, size, size)
                for crop in crops:
                    crop[:], matrix = self.views[name](content, frame)
                    matrices.append(matrix)
                cropped[f"{key}_{name}"] = crops
            cropped[f"{key}_crops"] = torch.from_numpy(np.stack(matrices))
        return cropped

    def _fit(self, key: Any, image: torch.Tensor) -> tuple[FittedFrame, torch.Tensor]:
        if not (isinstance(image, MetaTensor) and "fitted_frame" in image.meta):
            frame = FittedFrame(image.shape[-2], image.shape[-1], self.fit_size)
            return frame, fit_content(image, frame)
        frame = FittedFrame.of(image)
        if frame.size != self.fit_size:
            raise ValueError(f"{key!r} was fitted to {frame.size}, but its crops are cut from {self.fit_size}")
        below, right = frame.top + frame.rows, frame.left + frame.columns
        return frame, image.as_tensor()[:, frame.top : below, frame.left : right].contiguous()


MultiCropRadiographD = MultiCropRadiographDict = MultiCropRadiographd
