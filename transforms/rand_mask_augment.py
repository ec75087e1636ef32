# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Light augmentation that moves a radiograph, its masks and its boxes together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Affine, MapTransform, Randomizable
from monai.transforms.utils import create_rotate, create_scale, create_translate
from monai.utils import convert_to_tensor

from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone

__all__ = ["RandMaskAugmentD", "RandMaskAugmentDict", "RandMaskAugmentd"]


class RandMaskAugmentd(Randomizable, MapTransform):
    """Change brightness and contrast of a fitted radiograph, add noise, and shift, rotate, scale and flip it.

    The masks move with the image, by nearest pixel; what enters the square is zero. Brightness, contrast and noise
    change the image alone, by the same factors in all channels, not the padding around it. A mask that leaves the
    square becomes empty, and its label stays present: of what is seen, no pixel is inside.

    Boxes move too: of a box that is rotated, the upright box around its corners is cut to the square. One of which less
    than ``min_visible`` is left is dropped with its class.

    Source: DCXFM, official training of stage 2, which flips left to right with probability 0.5 and does nothing else
    (``flip=0.5``, all other probabilities 0). Deviation: no flip by default, which makes a left lung of a right one
    (quirk Q34), but the changes of brightness, contrast and noise of stage 1 and a small movement.

    Results are plain tensors: the image [channels, S, S] float32 in [0, 1], masks [T, S, S] uint8, boxes [n, 4] and
    classes [n] of the types that they had.

    Args:
        image_key: key of the image, gray [1, S, S] or color [channels, S, S], in [0, 1].
        mask_key: key of the masks [T, S, S]; None if there are none.
        box_key: key of the boxes [n, 4], x0, y0, x1, y1 in pixels of the square, ends exclusive; None if there are
            none.
        class_key: key of the classes of the boxes [n].
        min_visible: share of a box's area that must be left.
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
        ValueError: when an argument is out of range, image and masks are not of one size, or boxes and classes not as
            many.
    """

    def __init__(
        self,
        image_key: str = "image",
        mask_key: str | None = "masks",
        *,
        box_key: str | None = None,
        class_key: str = "box_classes",
        min_visible: float = 0.25,
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
        held = (key for key in (mask_key, box_key, class_key if box_key else None) if key is not None)
        super().__init__((image_key, *held))
        for name, value in (("flip", flip), ("affine_probability", affine_probability), ("min_visible", min_visible)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within [0, 1], got {value}")
        for name, value in (("translate", translate), ("scale", scale)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, got {value}")
        if not 0 <= rotate <= 180:
            raise ValueError(f"rotate must be within 0 and 180 degrees, got {rotate}")
        self.image_key = image_key
        self.mask_key = mask_key
        self.box_key = box_key
        self.class_key = class_key
        self.min_visible = min_visible
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
        """Change the image and what lies on it."""
        sample = dict(data)
        image = data[self.image_key]
        if image.ndim != 3 or image.shape[0] not in (1, self.noise.channels):
            raise ValueError(
                f"{self.image_key!r} must be [1, H, W] or, in color, [{self.noise.channels}, H, W] (channels), got "
                f"{list(image.shape)}"
            )
        self.randomize()
        sample[self.image_key] = self._place(self._shade(image), "bilinear")
        if self.mask_key is not None:
            sample[self.mask_key] = self._move_masks(data[self.mask_key], image)
        if self.box_key is not None:
            boxes, classes = data[self.box_key], data[self.class_key]
            if boxes.shape != (len(classes), 4):
                shapes = f"{list(boxes.shape)} and {list(classes.shape)}"
                raise ValueError(f"{self.box_key!r} and {self.class_key!r} must be [n, 4] and [n], got {shapes}")
            sample[self.box_key], seen = self._move_boxes(boxes, image.shape[-2], image.shape[-1])
            sample[self.class_key] = classes[seen]
        return sample

    def _place(self, maps: torch.Tensor, mode: str) -> torch.Tensor:
        """Move and flip maps [C, S, S], zero outside."""
        if self.movement is not None:
            maps = _move(maps, self.movement, mode).to(maps.dtype)
        return maps.flip(-1) if self.flipped else maps

    def _move_masks(self, masks: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        if masks.shape[-2:] != image.shape[-2:]:
            sizes = " and ".join(str(list(tensor.shape)) for tensor in (image, masks))
            raise ValueError(f"{self.image_key!r} and {self.mask_key!r} are {sizes}: fit both")
        masks = masks.as_tensor() if isinstance(masks, MetaTensor) else masks
        held = masks.flatten(1).any(dim=1).nonzero()[:, 0]  # most classes are in few images
        moved = torch.zeros_like(masks)
        if len(held):
            moved[held] = self._place(masks[held], "nearest")
        return moved

    def _move_boxes(self, boxes: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes that are still seen, and which of those given they are."""
        moved = boxes.double()
        if self.movement is not None:
            # The matrix takes a place (row, column) of the result to one of the source, both from the middle.
            down, right, angle, scale = self.movement
            forth = create_rotate(2, angle) @ create_translate(2, (down * height, right * width))
            back = torch.from_numpy(np.linalg.inv(forth @ create_scale(2, (scale, scale))))
            x, y = moved[:, [0, 2, 0, 2]] - width / 2, moved[:, [1, 1, 3, 3]] - height / 2
            corners = back @ torch.stack([y, x, torch.ones_like(x)]).flatten(1)
            y, x = corners[:2].reshape(2, -1, 4) + torch.tensor([height, width])[:, None, None] / 2
            moved = torch.stack([x.amin(1), y.amin(1), x.amax(1), y.amax(1)], dim=1)
        if self.flipped:
            moved = torch.stack([width - moved[:, 2], moved[:, 1], width - moved[:, 0], moved[:, 3]], dim=1)
        cut = moved.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
        left, whole = ((box[:, 2:] - box[:, :2]).prod(dim=1) for box in (cut, moved))
        seen = (left > 0) & (left >= self.min_visible * whole)
        return cut[seen].to(boxes.dtype), seen

    def _shade(self, image: torch.Tensor) -> torch.Tensor:
        """Change tone and add noise where the image is no padding: [1 or channels, S, S] → [channels, S, S]."""
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
