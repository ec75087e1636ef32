# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The map of a model that has never seen an image: look at the middle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["centered_box_map"]

# The lowest value inside the box. Above the highest usual threshold (0.5) on each of the scales, so that the prediction
# is the box at all of them.
_BORDER = 0.8


def centered_box_map(height: int, width: int, share: float = 0.25) -> Tensor:
    """Baseline for grounding: a box in the middle of the picture, of the picture's shape.

    Findings and lungs are not spread evenly over a radiograph, so a map that ignores the image scores well above zero;
    a model has grounded something only where it scores better than this. Inside the box the map falls from 1 in its
    center to 0.8 at its border, outside it is 0: at thresholds up to 0.5 the prediction is the box on every scale, and
    the pointing game has one place to point at (of a flat box all pixels would be the maximum, and any overlap a hit).

    Args:
        height: of the map in pixels.
        width: of the map in pixels.
        share: part of the picture's area that the box covers.

    Returns:
        float32 tensor [height, width], to be scored like a model's map by
        :func:`~radbundles.components.metrics.grounding_scores`.

    Raises:
        ValueError: a side below 1, or a share that is not above 0 and below 1.
    """
    if height < 1 or width < 1 or not 0 < share < 1:
        raise ValueError(
            f"height and width must be 1 or more, share between 0 and 1: got {height}, {width} and {share}"
        )
    # Distance from the center in sides of the box, by its larger coordinate: at most 1/2 inside.
    rows, columns = (
        ((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5).abs() / math.sqrt(share)
        for size in (height, width)
    )
    distance = torch.maximum(rows[:, None], columns[None])
    return torch.where(distance <= 0.5, 1 - (1 - _BORDER) * 2 * distance, 0).float()
