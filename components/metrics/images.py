# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM of the images that ECAMP makes, where its losses look, on the display range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from monai.metrics.regression import compute_ssim_and_cs
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.mean import EpochMean
from radbundles.components.metrics.regions import MEAN, STD, to_display, under_mask, under_window

__all__ = ["ImagePSNR", "ImageSSIM"]

Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Part = Literal["reconstruction", "super_resolution"]


def _pick(
    part: str, mean: float | Sequence[float], std: float | Sequence[float]
) -> Callable[[Mapping[str, Any]], Triple]:
    """Output transform that gives (image made, image aimed at, pixels the loss looks at)."""
    if part not in ("reconstruction", "super_resolution"):
        raise ValueError(f"part must be 'reconstruction' or 'super_resolution', got {part!r}")

    def pick(output: Mapping[str, Any]) -> Triple:
        batch, made = output[Keys.IMAGE], output[Keys.PRED]
        target = made["target"] if part == "reconstruction" else batch["image"]
        size = target.shape[-1]
        region = under_mask(made["mask"], size) if part == "reconstruction" else under_window(batch["window"], size)
        return to_display(made[part], mean=mean, std=std), to_display(target, mean=mean, std=std), region

    return pick


class ImagePSNR(EpochMean):
    """Peak signal-to-noise ratio in dB over the pixels that the loss looks at, averaged over the images.

    ``reconstruction`` is compared with ``target`` on the removed patches (what the encoder saw says nothing),
    ``super_resolution`` with the input image inside the context window. As in ``ignite.metrics.PSNR`` the squared error
    gets 1e-10 added, which caps the value at 100 dB. Images without such a pixel do not count.

    Args:
        part: ``"reconstruction"`` or ``"super_resolution"``.
        mean: mean of the normalization, one value or one per channel.
        std: standard deviation of the normalization, one value or one per channel.
        device: where the sums are kept.

    Raises:
        ValueError: unknown ``part``.
    """

    def __init__(
        self,
        part: Part = "reconstruction",
        *,
        mean: float | Sequence[float] = MEAN,
        std: float | Sequence[float] = STD,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(_pick(part, mean, std), device)

    def measure(self, output: Triple) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the PSNR of the images of a batch, and their number."""
        made, target, region = output  # [B, C, H, W] twice, [B, 1, H, W]
        error, counted = _mean_inside((made - target).square(), region)  # [B] each
        return _total(-10 * torch.log10(error + 1e-10), counted)


class ImageSSIM(EpochMean):
    """Structural similarity (Gaussian window of 11 pixels, sigma 1.5), averaged over the images.

    ``reconstruction`` is judged as one sees it: the visible patches pasted from ``target``, the whole image measured.
    ``super_resolution`` is judged inside the context window. Only positions whose Gaussian window lies wholly inside
    the image and the context window count, so nothing is padded; images without such a position do not count.

    Args:
        part: ``"reconstruction"`` or ``"super_resolution"``.
        mean: mean of the normalization, one value or one per channel.
        std: standard deviation of the normalization, one value or one per channel.
        device: where the sums are kept.

    Raises:
        ValueError: unknown ``part``.
    """

    kernel_size, sigma = 11, 1.5
    _chunk = 8  # images at a time: the filters hold ten copies of what they are given

    def __init__(
        self,
        part: Part = "reconstruction",
        *,
        mean: float | Sequence[float] = MEAN,
        std: float | Sequence[float] = STD,
        device: str | torch.device = "cpu",
    ) -> None:
        self.part = part
        super().__init__(_pick(part, mean, std), device)

    def measure(self, output: Triple) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the SSIM of the images of a batch, and their number."""
        made, target, region = output  # [B, C, H, W] twice, [B, 1, H, W]
        if self.part == "reconstruction":
            made, region = torch.where(region, made, target), torch.ones_like(region)
        pieces = zip(*(tensor.split(self._chunk) for tensor in (made, target, region)), strict=True)
        values, counted = zip(*(self._similarity(*piece) for piece in pieces), strict=True)
        return _total(torch.cat(values), torch.cat(counted))

    def _similarity(
        self, made: torch.Tensor, target: torch.Tensor, region: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        size, sigma = (self.kernel_size,) * 2, (self.sigma,) * 2
        similarity, _ = compute_ssim_and_cs(made, target, spatial_dims=2, kernel_size=size, kernel_sigma=sigma)
        outside = torch.nn.functional.max_pool2d((~region).float(), self.kernel_size, stride=1)
        return _mean_inside(similarity, outside == 0)


def _mean_inside(values: torch.Tensor, region: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean per image of [B, C, H, W] over the pixels of [B, 1, H, W], and whether there are any: two tensors [B]."""
    pixels = region.sum((1, 2, 3)) * values.shape[1]
    return torch.where(region, values, 0).sum((1, 2, 3)) / pixels.clamp_min(1), pixels > 0


def _total(values: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the values that count, and their number; nan of a diverged network stays nan."""
    return torch.where(counted, values, 0).sum(), counted.sum()
