# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Random brightness, contrast and pixel noise of a radiograph, each a function of the transform's own state."""

from __future__ import annotations

import torch
from monai.transforms import Randomizable, Transform

__all__ = ["RandRadiographNoise", "RandRadiographTone"]


class RandRadiographTone(Randomizable, Transform):
    """Change brightness and contrast by random factors, in random order, clamped to [0, 1] after each.

    Source: DCXFM, official training transform (color jitter; its saturation does nothing to gray). Contrast changes
    about the mean of the image over all channels. MONAI's intensity transforms neither clamp nor share one probability.

    Args:
        brightness: factors are uniform in 1 - brightness to 1 + brightness.
        contrast: likewise.
        probability: of changing an image at all.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, *, brightness: float = 0.2, contrast: float = 0.2, probability: float = 0.5) -> None:
        for name, value in (("brightness", brightness), ("contrast", contrast), ("probability", probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within [0, 1], got {value}")
        self.brightness = brightness
        self.contrast = contrast
        self.probability = probability
        self.factors: tuple[float, float] | None = None
        self.contrast_first = False

    def randomize(self, data: object = None) -> None:
        """Draw ``factors`` (brightness, contrast), or None, and their order."""
        self.factors = None
        if self.R.random_sample() < self.probability:
            self.factors = (
                float(self.R.uniform(1 - self.brightness, 1 + self.brightness)),
                float(self.R.uniform(1 - self.contrast, 1 + self.contrast)),
            )
            self.contrast_first = bool(self.R.random_sample() < 0.5)

    def __call__(self, image: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Change [C, H, W] in [0, 1]; ``randomize=False`` repeats the last draw."""
        if randomize:
            self.randomize()
        if self.factors is None:
            return image
        brightness, contrast = self.factors
        if self.contrast_first:
            return _contrast(image, contrast).mul_(brightness).clamp_(0, 1)
        return _contrast((image * brightness).clamp_(0, 1), contrast)


def _contrast(image: torch.Tensor, factor: float) -> torch.Tensor:
    return torch.lerp(image.mean(), image, factor).clamp_(0, 1)


class RandRadiographNoise(Randomizable, Transform):
    """Add Gaussian noise to an image, independent for each channel of the result, clamped to [0, 1].

    Source: DCXFM, official training transform.

    Args:
        variance: least and greatest variance of the noise, in squared gray levels of 8 bits.
        probability: of adding noise at all.
        channels: of the result.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self, *, variance: tuple[float, float] = (10.0, 50.0), probability: float = 0.5, channels: int = 3
    ) -> None:
        if not 0 <= variance[0] <= variance[1]:
            raise ValueError(f"variance must be (least, greatest), 0 or more, got {variance}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be within [0, 1], got {probability}")
        if channels < 1:
            raise ValueError(f"channels must be 1 or more, got {channels}")
        self.variance = variance
        self.probability = probability
        self.channels = channels
        self.draw: tuple[float, int] | None = None

    def randomize(self, data: object = None) -> None:
        """Draw ``draw``: standard deviation in [0, 1] and seed of the noise, or None."""
        self.draw = None
        if self.R.random_sample() < self.probability:
            deviation = float(self.R.uniform(*self.variance)) ** 0.5 / 255
            self.draw = (deviation, int(self.R.randint(0, 2**31 - 1)))

    def __call__(self, image: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Return [channels, H, W] of an image [1, H, W] or [channels, H, W] in [0, 1]; without noise a view.

        ``randomize=False`` repeats the last draw.
        """
        if randomize:
            self.randomize()
        shape = (self.channels, *image.shape[-2:])
        if self.draw is None:
            return image.expand(shape)
        deviation, seed = self.draw
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.mul_(deviation).add_(image).clamp_(0, 1)
