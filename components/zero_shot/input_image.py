# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One image from wherever it comes, checked and fitted into the network's square."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from radbundles.components.inference import Concern, require_radiograph
from radbundles.transforms import FitRadiograph, FittedFrame, LoadRadiograph

ImageSource = str | os.PathLike[str] | np.ndarray | torch.Tensor


class InputImage:
    """Read, check and fit one image.

    Args:
        size: side of the square in pixels.
        channels: channels of the result; one gray channel is repeated.

    Raises:
        ValueError: if an argument is below 1.
    """

    def __init__(self, *, size: int, channels: int) -> None:
        if channels < 1:
            raise ValueError(f"channels must be 1 or more, got {channels}")
        self.load = LoadRadiograph()
        self.fit = FitRadiograph(size)
        self.channels = channels

    def __call__(self, source: ImageSource) -> tuple[torch.Tensor, FittedFrame, list[Concern]]:
        """Return the fitted image [channels, size, size], its frame, and what makes an answer doubtful.

        Raises:
            RadiographReadError: if a file cannot be read.
            RadiographRefused: if the image is blank, a lateral view or too small.
            ValueError: if it is of another shape or range.
        """
        image = self.load(source) if isinstance(source, (str, Path, os.PathLike)) else _gray(source)
        concerns = require_radiograph(image)
        frame = FittedFrame(image.shape[-2], image.shape[-1], self.fit.size)
        fitted = self.fit(image)
        plain = fitted.as_tensor() if isinstance(fitted, MetaTensor) else fitted
        return plain.expand(self.channels, -1, -1), frame, concerns


def _gray(image: np.ndarray | torch.Tensor) -> torch.Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(image)) if isinstance(image, np.ndarray) else image
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or pixels.shape[0] != 1:
        raise ValueError(f"an image is [H, W] or [1, H, W], got {tuple(image.shape)}")
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    if not pixels.is_floating_point():
        raise ValueError(f"an image is floating point in [0, 1] or uint8, got {pixels.dtype}: scale it first")
    pixels = pixels.float()
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # also false for nan
        raise ValueError(f"an image has values in [0, 1], got {low:g} to {high:g}: scale it first")
    return pixels
