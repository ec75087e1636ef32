# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Fit a whole radiograph into the square a network reads without squeezing it, and bring maps back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys, ensure_tuple

from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.resize_radiograph import index_matrix, placed, resample

__all__ = ["FitRadiograph", "FitRadiographD", "FitRadiographDict", "FitRadiographd", "fit_content"]


def fit_content(image: torch.Tensor, frame: FittedFrame) -> torch.Tensor:
    """Resize an image [C, height, width] in [0, 1] to [C, rows, columns] of its frame, bilinear with antialiasing."""
    pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
    if (frame.rows, frame.columns) == (frame.height, frame.width):
        return pixels
    return resample(pixels, (0, 0, frame.height, frame.width), (frame.rows, frame.columns), mode="bilinear")


class FitRadiograph(InvertibleTransform):
    """Resize the longest side of an image to ``size`` and pad it to a square with zeros, centered.

    Source: DCXFM, official evaluation transform. Deviation: bilinear with antialiasing (a triangle as wide as two
    pixels of the result) where the official code averages the area of a pixel, and no rounding to gray levels.

    A MetaTensor's affine follows and its meta gains ``fitted_frame``, (height, width, size) as integers, from which
    :meth:`FittedFrame.of <radbundles.transforms.FittedFrame.of>` makes the way back.

    Args:
        size: side of the square in pixels.
        mode: ``"bilinear"`` for images in [0, 1], ``"nearest"`` for masks.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, size: int, *, mode: str = "bilinear") -> None:
        if size < 1:
            raise ValueError(f"size must be 1 or more, got {size}")
        if mode not in ("bilinear", "nearest"):
            raise ValueError(f"mode must be 'bilinear' or 'nearest', got {mode!r}")
        self.size = size
        self.mode = mode

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Fit [C, H, W] into [C, size, size]."""
        frame = FittedFrame(image.shape[-2], image.shape[-1], self.size)
        if self.mode == "nearest":
            pixels = image.as_tensor() if isinstance(image, MetaTensor) else image
            content = F.interpolate(pixels[None], (frame.rows, frame.columns), mode="nearest-exact")[0]
        else:
            content = fit_content(image, frame)
        square = content.new_zeros(*content.shape[:-2], self.size, self.size)
        square[..., frame.top : frame.top + frame.rows, frame.left : frame.left + frame.columns] = content
        if not isinstance(image, MetaTensor):
            return square
        rows, columns = frame.height / frame.rows, frame.width / frame.columns
        step = index_matrix(rows, (0.5 - frame.top) * rows, columns, (0.5 - frame.left) * columns)
        fitted = placed(square, image, step, fitted_frame=(frame.height, frame.width, frame.size))
        self.push_transform(fitted, orig_size=(frame.height, frame.width))
        return fitted

    def inverse(self, image: torch.Tensor) -> torch.Tensor:
        """Bring an image or a map [C, h, w] of any grid over the square back to the original pixels."""
        height, width = (int(extent) for extent in self.pop_transform(image)[TraceKeys.ORIG_SIZE])
        frame = FittedFrame(height, width, self.size)
        restored = frame.to_original(image, self.mode)
        if not isinstance(image, MetaTensor):
            return restored
        # Whatever its grid, a map that took over the image's meta has the affine of the square's pixels.
        rows, columns = frame.rows / height, frame.columns / width
        step = index_matrix(rows, frame.top + 0.5 * rows, columns, frame.left + 0.5 * columns)
        whole = placed(restored, image, step)
        whole.meta.pop("fitted_frame", None)
        return whole


class FitRadiographd(MapTransform, InvertibleTransform):
    """Dictionary twin of :class:`FitRadiograph`, whose masks and boxes follow the image.

    MONAI's ``Invertd(keys="pred", transform=..., orig_keys="image")`` brings maps back to the original pixels.

    Args:
        keys: keys of images [C, H, W] in [0, 1].
        size: side of the square in pixels.
        mask_keys: keys of masks [C, H, W], fitted by nearest pixel.
        box_keys: keys of boxes (x0, y0, x1, y1; ends exclusive) of the first image: ``boxes`` and ``phrases`` of the
            data contract, or an array [N, 4]. Missing keys are passed over: few items have boxes.
        allow_missing_keys: do not fail for a missing image or mask.

    Raises:
        ValueError: when an argument is out of range, or a mask is not of the first image's size.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        size: int,
        mask_keys: KeysCollection | None = None,
        box_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        self.mask_keys = ensure_tuple(mask_keys) if mask_keys is not None else ()
        self.box_keys = ensure_tuple(box_keys) if box_keys is not None else ()
        super().__init__((*ensure_tuple(keys), *self.mask_keys), allow_missing_keys)
        self.fit = FitRadiograph(size)
        self.fit_mask = FitRadiograph(size, mode="nearest")

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Fit the images, then what lies on them."""
        fitted = dict(data)
        frame: FittedFrame | None = None
        for key in self.key_iterator(fitted):
            height, width = fitted[key].shape[-2:]
            if frame is None:
                frame = FittedFrame(height, width, self.fit.size)
            elif key in self.mask_keys and (height, width) != (frame.height, frame.width):
                raise ValueError(f"{key!r} is {height} x {width}, but its image is {frame.height} x {frame.width}")
            fitted[key] = self._transform(key)(fitted[key])
        for key in self.box_keys:
            if frame is not None and key in fitted:
                fitted[key] = _fit_boxes(fitted[key], frame)
        return fitted

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Bring the images and masks, or maps that took over their trace, back to the original size."""
        restored = dict(data)
        for key in self.key_iterator(restored):
            restored[key] = self._transform(key).inverse(restored[key])
        return restored

    def _transform(self, key: Any) -> FitRadiograph:
        return self.fit_mask if key in self.mask_keys else self.fit


def _fit_boxes(value: Any, frame: FittedFrame) -> Any:
    if isinstance(value, Mapping):  # {name: boxes}, or one phrase
        return {name: one if isinstance(one, str) else _fit_boxes(one, frame) for name, one in value.items()}
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):  # phrases
        return [_fit_boxes(phrase, frame) for phrase in value]
    if isinstance(value, torch.Tensor):
        return frame.boxes_to_fitted(value)
    boxes = torch.as_tensor(value, dtype=torch.float64).reshape(-1, 4)
    return frame.boxes_to_fitted(boxes).tolist()


FitRadiographD = FitRadiographDict = FitRadiographd
