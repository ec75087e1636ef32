# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of fitted images with masks -> batch that can be judged in the pixels of the stored images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from radbundles.components.data.collate import Batch, collate_masks
from radbundles.transforms.fitted_frame import FittedFrame


def collate_frames(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Collate as :func:`collate_masks`, and tell of each image how to find back to its own pixels.

    Added to the batch: ``size`` ``[B, 2]`` int64, height and width of the stored image, from which
    ``FittedFrame(height, width, S)`` brings maps back; and ``spacing`` ``[B, 2]`` float64, height and width of its
    pixels in mm, nan where the file tells none.

    Raises:
        ValueError: as :func:`collate_masks`, and for an image that
            :class:`~radbundles.transforms.FitRadiograph` has not fitted; names the ``id`` of the sample.
    """
    batch = collate_masks(samples)
    sizes: list[tuple[int, int]] = []
    spacings: list[tuple[float, float]] = []
    for sample in samples:
        meta = getattr(sample["image"], "meta", {})
        try:
            frame = FittedFrame.of(meta)
        except ValueError as error:
            raise ValueError(f"sample {sample.get('id')!r}: {error}") from None
        sizes.append((frame.height, frame.width))
        height, width = meta.get("spacing") or (math.nan, math.nan)
        spacings.append((float(height), float(width)))
    return batch | {"size": torch.tensor(sizes), "spacing": torch.tensor(spacings, dtype=torch.float64)}
