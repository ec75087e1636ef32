# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of masks by the pixels that they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["OVERLAP_SCORES", "overlap_scores"]

Floats = NDArray[np.float64]
OVERLAP_SCORES = (
    "dice",
    "iou",
    "sensitivity",
    "precision",
    "found",
    "false_alarm",
    "official_dice",
    "truth_area",
    "predicted_area",
)


def overlap_scores(pixels: ArrayLike, truth: ArrayLike, predicted: ArrayLike, overlap: ArrayLike) -> dict[str, Floats]:
    """Scores of any number of masks at once, from their numbers of pixels (whole numbers of one shape).

    ``dice``, ``iou``, ``sensitivity``, ``precision`` and ``found`` (1 if any pixel was hit) ask how well what is there
    was drawn: they are nan where there is nothing, and so is ``precision`` where nothing was predicted.
    ``false_alarm`` is 1 where there is nothing, yet something was predicted, 0 where nothing was, and nan where there
    is something. ``official_dice`` is the Dice of ECAMP's official code, which scores an image without a place 1 if
    nothing is predicted and 0 otherwise: with many empty images it mostly tells how often the model keeps silent.
    Areas are parts of the image.

    Args:
        pixels: of the image.
        truth: pixels inside the true mask.
        predicted: pixels inside the predicted mask.
        overlap: pixels inside both.

    Returns:
        Arrays of that shape under the names of ``OVERLAP_SCORES``.
    """
    whole, inside, found, both = (np.asarray(part, dtype=np.float64) for part in (pixels, truth, predicted, overlap))
    present, silent = inside > 0, found == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "dice": 2 * both / (inside + found),
            "iou": both / (inside + found - both),
            "sensitivity": both / inside,
            "precision": np.where(silent, np.nan, both / found),
            "found": (both > 0).astype(np.float64),
        }
        scores = {name: np.where(present, value, np.nan) for name, value in values.items()}
        scores["false_alarm"] = np.where(present, np.nan, ~silent)
        scores["official_dice"] = np.where(present, scores["dice"], silent)
        return {**scores, "truth_area": inside / whole, "predicted_area": found / whole}
