# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Light augmentation that moves a radiograph and its masks together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Affine, MapTransform, Randomizable
from monai.utils import convert_to_tensor

from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone

__all__ = ["RandMaskAugmentD", "RandMaskAugmentDict", "RandMaskAugmentd"]


class RandMaskAugmentd(Randomizable, MapTransform):
    """Change brightness and contrast of a fitted radiograph, add noise, and shift, rotate, scale and flip it.

    The masks move with the image, by nearest pixel; what enters the square is zero. Brightness, contrast and noise
    change the image alone, not the padding around it. A mask that leaves the square becomes empty, and its label stays
    present: of what is seen, no pixel is inside.

    Source: DCXFM, official training of stage 2, which flips left to right with probability 0.5 and does nothing else
    (``flip=0.5``, all other probabilities 0). Deviation: no flip by default, which makes a left lung of a right one
    (quirk Q34), but the changes of brightness, contrast and noise of stage 1 and a small movement.

    Results are plain tensors: the image [channels, S, S] float32 in [0, 1], masks [T, S, S] uint8.

    Args:
        image_key: key of the image [1, S, S] in [0, 1].
        mask_key: key of the masks [T, S, S].
        flip: probability of a flip left to right.
        translate: greatest shift, as a share of the sides.
        rotate: greatest rotation in degrees.
        scale: sizes change by factors between 1 - scale and 1 + scale.
        affine_probability: of shift, rotation and scaling.
        brightness: see :class:`~radbundles.transforms.RandRadiographTone`.
        contrast: likewise.
        jitter_probability: likewise.
        noise_variance: see :class:`~radbundles.transforms.RandRadiographNoise`.
        noise_probability: likewise.
        channels: of the image that is made; noise differs between them.

    Raises:
        ValueError: when an argument is out of range, or image and masks are not of one size.
    """

    def __init__(
        self,
        image_key: str = "image",
        mask_key: str = "masks",
        *,
        flip: float = 0.0,
        translate: float = 0.05,
        rotate: float = 5.0,
        scale: float = 0.1,
        affine_probability: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        jitter_probability: float = 0.5,
        noise_variance: tuple[float, float] = (10.0, 50.0),
        noise_probability: float = 0.5,
        channels: int = 3,
    ) -> None:
        super().__init__((image_key, mask_key))
        for name, value in (("flip", flip), ("affine_probability", affine_probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within [0, 1], got {value}")
        for name, value in (("translate", translate), ("scale", scale)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, got {value}")
        if not 0 <= rotate <= 180:
            raise ValueError(f"rotate must be within 0 and 180 degrees, got {rotate}")
        self.image_key = image_key
        self.mask_key = mask_key
        self.flip = flip
        self.translate = translate
        self.rotate = rotate
        self.scale = scale
        self.affine_probability = affine_probability
        self.tone = RandRadiographTone(brightness=brightness, contrast=contrast, probability=jitter_probability)
        self.noise = RandRadiographNoise(variance=noise_variance, probability=noise_probability, channels=channels)
        self.flipped = False
        self.movement: tuple[float, float, float, float] | None = None

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandMaskAugmentd:
        """Seed the draws, as :class:`monai.transforms.Randomizable`."""
        super().set_random_state(seed, state)
        for part in (self.tone, self.noise):
            part.set_random_state(state=self.R)
        return self

    def randomize(self, data: object = None) -> None:
        """Draw tone, noise, ``flipped`` and ``movement``: shifts (down, right; shares), angle and scale, or None."""
        self.tone.randomize()
        self.noise.randomize()
        self.flipped = bool(self.R.random_sample() < self.flip)
        self.movement = None
        if self.R.random_sample() < self.affine_probability:
            down, right = self.R.uniform(-self.translate, self.translate, 2)
            angle = math.radians(self.R.uniform(-self.rotate, self.rotate))
            self.movement = (float(down), float(right), angle, float(self.R.uniform(1 - self.scale, 1 + self.scale)))

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Change image and masks."""
        sample = dict(data)
        image, masks = data[self.image_key], data[self.mask_key]
        if image.ndim != 3 or image.shape[0] != 1:
            raise ValueError(f"{self.image_key!r} must be [1, H, W], got {list(image.shape)}: load radiographs in gray")
        if masks.shape[-2:] != image.shape[-2:]:
            sizes = " and ".join(str(list(tensor.shape)) for tensor in (image, masks))
            raise ValueError(f"{self.image_key!r} and {self.mask_key!r} are {sizes}: fit both")
        self.randomize()
        image = self._shade(image)
        masks = masks.as_tensor() if isinstance(masks, MetaTensor) else masks
        if self.movement is not None:
            image = _move(image, self.movement, "bilinear")
            held = masks.flatten(1).any(dim=1).nonzero()[:, 0]  # most classes are in few images
            moved = torch.zeros_like(masks)
            if len(held):
                moved[held] = _move(masks[held], self.movement, "nearest").to(masks.dtype)
            masks = moved
        if self.flipped:
            image, masks = image.flip(-1), masks.flip(-1)
        sample[self.image_key], sample[self.mask_key] = image, masks
        return sample

    def _shade(self, image: torch.Tensor) -> torch.Tensor:
        """Change tone and add noise where the image is no padding: [1, S, S] → [channels, S, S]."""
        pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
        where = (slice(None), slice(None), slice(None))
        if isinstance(image, MetaTensor) and "fitted_frame" in image.meta:
            frame = FittedFrame.of(image)
            down = slice(frame.top, frame.top + frame.rows)
            where = (slice(None), down, slice(frame.left, frame.left + frame.columns))
        shaded = pixels.new_zeros(self.noise.channels, *pixels.shape[1:])
        shaded[where] = self.noise(self.tone(pixels[where], randomize=False), randomize=False)
        return shaded


def _move(maps: torch.Tensor, movement: tuple[float, float, float, float], mode: str) -> torch.Tensor:
    """Move maps [C, S, S], zero outside; float32."""
    down, right, angle, scale = movement
    affine = Affine(
        rotate_params=angle,
        translate_params=(down * maps.shape[-2], right * maps.shape[-1]),
        scale_params=(scale, scale),
        padding_mode="zeros",
        image_only=True,
    )
    return convert_to_tensor(affine(maps, mode=mode), track_meta=False)


RandMaskAugmentD = RandMaskAugmentDict = RandMaskAugmentd
