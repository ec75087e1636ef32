# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One image and one class judged in the pixels of the stored image."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radbundles.components.metrics.segmentation_distance import hausdorff_distance
from radbundles.components.metrics.segmentation_histogram import logit_histogram

__all__ = ["MaskRow", "judge_mask", "unpack_mask"]

SIDE = 384  # longest side of the small mask, that of pictures in a page


class MaskRow(NamedTuple):
    """What is kept of one class in one image.

    Args:
        place: number of the class.
        level: logit from which on a pixel was predicted.
        pixels: of the image.
        truth: pixels inside the true mask; none: the class is absent.
        predicted: pixels inside the predicted mask.
        overlap: pixels inside both.
        distance: 95th percentile Hausdorff distance in pixels; nan where either mask is empty.
        distance_mm: the same in millimeters; nan where the file tells no spacing.
        histogram: [n, 3] of :func:`~radbundles.components.metrics.segmentation_histogram.logit_histogram`.
        small: the predicted mask, at most 384 pixels long, for :func:`unpack_mask`.
        shape: (height, width) of ``small``.
    """

    place: int
    level: float
    pixels: int
    truth: int
    predicted: int
    overlap: int
    distance: float
    distance_mm: float
    histogram: NDArray[np.int64]
    small: bytes
    shape: tuple[int, int]


def judge_mask(
    place: int,
    logits: torch.Tensor,
    inside: torch.Tensor,
    *,
    level: float = 0.0,
    spacing: Sequence[float] | None = None,
    distances: bool = True,
) -> MaskRow:
    """Compare the logits of one class with its true mask.

    Args:
        place: number of the class.
        logits: float32 [H, W] in the pixels of the image.
        inside: bool [H, W], on the same device.
        level: logit from which on a pixel is predicted.
        spacing: height and width of a pixel in mm, if known.
        distances: measure distances; without, they are nan.

    Raises:
        ValueError: a logit is not a number.
    """
    histogram = logit_histogram(logits, inside)
    predicted = logits >= level
    pixel = mm = math.nan
    if distances:
        masks = predicted.cpu().numpy(), inside.cpu().numpy()
        pixel = hausdorff_distance(*masks)
        if spacing is not None:
            height, width = spacing
            mm = pixel * height if height == width else hausdorff_distance(*masks, spacing=spacing)
    shrink = min(1.0, SIDE / max(logits.shape))
    shape = (max(1, round(logits.shape[0] * shrink)), max(1, round(logits.shape[1] * shrink)))
    small = F.interpolate(predicted[None, None].to(torch.uint8), shape, mode="nearest-exact")
    return MaskRow(
        place=place,
        level=level,
        pixels=logits.numel(),
        truth=int(torch.count_nonzero(inside)),
        predicted=int(torch.count_nonzero(predicted)),
        overlap=int(torch.count_nonzero(predicted & inside)),
        distance=pixel,
        distance_mm=mm,
        histogram=histogram,
        small=zlib.compress(np.packbits(small.cpu().numpy()).tobytes(), 1),
        shape=shape,
    )


def unpack_mask(row: MaskRow) -> NDArray[np.bool_]:
    """The small predicted mask of a row, bool of its shape."""
    bits = np.frombuffer(zlib.decompress(row.small), np.uint8)
    return np.unpackbits(bits, count=math.prod(row.shape)).reshape(row.shape).astype(bool)
