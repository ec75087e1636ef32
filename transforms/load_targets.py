# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks and boxes of an item -> one mask for each class, and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from radbundles.transforms.fit_radiograph import FitRadiograph
from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.load_mask import read_mask
from radbundles.transforms.read_error import RadiographReadError

__all__ = ["LoadTargetsD", "LoadTargetsDict", "LoadTargetsd"]


class LoadTargetsd(MapTransform):
    """Draw the targets of an item of :func:`~radbundles.components.data.load_mask_sources` on its image.

    All masks and boxes of a class are united (the official code keeps one, quirk Q32). A box covers every pixel that it
    touches, and at least one. A class whose masks and boxes hold no pixel at all is absent.

    Put it behind :class:`~radbundles.transforms.FitRadiographd` for the image: each mask is then fitted as it is read,
    so that the masks of a large film are never held together in full size, and what is smaller than the step of the fit
    keeps one pixel. In front of it, masks are as large as the image, and ``FitRadiographd(mask_keys=...)`` gives the
    same but for those small ones.

    Added to the sample: masks, MetaTensor uint8 [T, H, W], zeros where a class has no place; and labels, int64 [T].

    Args:
        classes: the classes, in the order of the channels and of the item's labels.
        image_key: key of the loaded image, fitted or not.
        target_key: key of ``{class: {"masks": [path], "boxes": [[x0, y0, x1, y1]]}}``, boxes in pixels of the stored
            image, ends exclusive.
        mask_key: key of the masks that are made.
        label_key: key of the item's labels, a list of 1, 0 or -1, which become a tensor.

    Raises:
        ValueError: when classes are not a list of different names, or labels are not as many.
        RadiographReadError: when a mask cannot be read or does not fit the image, or a box is inverted or lies outside
            of it; names item, class, file or box, reason and mend.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        image_key: str = "image",
        target_key: str = "targets",
        mask_key: str = "masks",
        label_key: str = "labels",
    ) -> None:
        super().__init__((image_key, target_key, label_key))
        if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes must be a list of different names, got {classes!r}")
        self.classes = tuple(classes)
        self.image_key = image_key
        self.target_key = target_key
        self.mask_key = mask_key
        self.label_key = label_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Replace the targets by masks."""
        sample = dict(data)
        image, targets = sample[self.image_key], sample.pop(self.target_key)
        labels = torch.as_tensor(sample[self.label_key], dtype=torch.int64).clone()
        if labels.shape != (len(self.classes),):
            raise ValueError(f"{len(self.classes)} classes, but {self.label_key!r} has the shape {list(labels.shape)}")
        fitted = isinstance(image, MetaTensor) and "fitted_frame" in image.meta
        frame = FittedFrame.of(image) if fitted else None
        shape = (frame.height, frame.width) if frame is not None else tuple(image.shape[-2:])
        masks = torch.zeros(len(self.classes), *image.shape[-2:], dtype=torch.uint8)
        for channel, name in enumerate(self.classes):
            if name not in targets:
                continue
            try:
                inside = _draw(targets[name], shape)
            except RadiographReadError as error:
                raise RadiographReadError(f"item {sample.get('id')!r}, class {name!r}: {error}") from error
            if not inside.any():
                labels[channel] = 0
            elif frame is None:
                masks[channel] = torch.from_numpy(inside)
            else:
                _fit(inside, frame, masks[channel])
        meta = dict(image.meta) if isinstance(image, MetaTensor) else None
        sample[self.mask_key] = MetaTensor(masks, meta=meta)
        sample[self.label_key] = labels
        return sample


def _draw(target: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """Unite masks and boxes as uint8 [H, W]."""
    inside = np.zeros(shape, np.uint8)
    for path in target["masks"]:
        inside |= read_mask(path, shape)
    height, width = shape
    for box in target["boxes"]:
        x0, y0, x1, y1 = box
        if not (x0 <= x1 and y0 <= y1):
            raise RadiographReadError(f"the box {box} is inverted. Correct it: x0, y0, x1, y1")
        if x0 >= width or y0 >= height or (x0 < 0 and x1 <= 0) or (y0 < 0 and y1 <= 0):
            raise RadiographReadError(
                f"the box {box} lies outside of the image, {width} x {height} (width x height). Correct it, or check "
                "that it was drawn on this image"
            )
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        inside[top : max(math.ceil(y1), top + 1), left : max(math.ceil(x1), left + 1)] = 1
    return inside


def _fit(inside: np.ndarray, frame: FittedFrame, square: torch.Tensor) -> None:
    """Fit a mask that is not empty into a square of zeros."""
    square[:] = FitRadiograph(frame.size, mode="nearest")(torch.from_numpy(inside)[None])[0]
    if not square.any():
        rows, columns = np.nonzero(inside)
        middle = len(rows) // 2
        row = frame.top + rows[middle] * frame.rows // frame.height
        column = frame.left + columns[middle] * frame.columns // frame.width
        square[row, column] = 1


LoadTargetsD = LoadTargetsDict = LoadTargetsd
