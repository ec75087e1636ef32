# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From similarity maps to places: the best point, and boxes around what stands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from radbundles.components.inference.sample_content import sample_content
from radbundles.transforms import FittedFrame

# A component reaches over edges and corners within its map, and never into the map before or after it.
_NEIGHBORS = np.zeros((3, 3, 3), dtype=bool)
_NEIGHBORS[1] = True


@dataclass(frozen=True)
class BoxRule:
    """What of a map is boxed.

    The threshold is ``low + level * (high - low)`` of the map inside the image, but never below ``floor``. A map whose
    highest value does not reach the floor has no box.

    Args:
        level: share of the map's own range, in [0, 1]; 0.65 is the middle (0.3) of the thresholds that DCXFM is judged
            with on maps from -1 to 1.
        floor: least similarity.
        min_area: least share of the image, by area, that a component must have, in [0, 1].
        grid: samples along each side of the image that components are looked for on.

    Raises:
        ValueError: if a value is out of range.
    """

    level: float = 0.65
    floor: float = 0.0
    min_area: float = 0.001
    grid: int = 128

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 1 or not 0 <= self.min_area <= 1 or self.grid < 1:
            raise ValueError(f"level and min_area must lie in [0, 1] and grid be 1 or more, got {self}")

    def thresholds(self, low: np.ndarray, peak: np.ndarray) -> np.ndarray:
        """Threshold of maps by their extremes [N]; nothing reaches that of a map without any slope."""
        relative = np.maximum(low + self.level * (peak - low), self.floor)
        return np.where(peak > low, relative, np.inf)


@dataclass(frozen=True)
class ScoreRule:
    """What of a map of scores is boxed: all that reaches one threshold, on whatever map.

    Args:
        threshold: least score, between 0 and 1.
        min_area: least share of the image, by area, that a component must have, in [0, 1].
        grid: samples along each side of the image that components are looked for on.

    Raises:
        ValueError: if a value is out of range.
    """

    threshold: float = 0.5
    min_area: float = 0.001
    grid: int = 192

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or not 0 <= self.min_area <= 1 or self.grid < 1:
            raise ValueError(
                f"threshold must lie between 0 and 1, min_area in [0, 1] and grid be 1 or more, got {self}"
            )

    def thresholds(self, low: np.ndarray, peak: np.ndarray) -> np.ndarray:
        """The threshold of maps whose extremes are [N]."""
        return np.full(peak.shape, self.threshold)


@dataclass(frozen=True)
class Place:
    """What stands out on one map.

    Attributes:
        point: (x, y) of the highest value in pixels of the original image; pixel 0 reaches from 0 to 1.
        peak: the value there.
        low: lowest value inside the image.
        threshold: what a box is at or above.
        boxes: [n, 4] float32 (x0, y0, x1, y1) in the same pixels, ends exclusive, by falling score; n may be 0.
        scores: highest value inside each box's component, [n] float32.
    """

    point: tuple[float, float]
    peak: float
    low: float
    threshold: float
    boxes: np.ndarray
    scores: np.ndarray


def locate(maps: torch.Tensor, frame: FittedFrame, rule: BoxRule | ScoreRule, *, logits: bool = False) -> list[Place]:
    """Find the places of all maps of one image at once.

    Each map is sampled on a square grid that covers the image and nothing of its padding, so that the work does not
    depend on the size of the image.

    Args:
        maps: [N, h, w] over the fitted square.
        frame: how the image lies in the square.
        rule: what is boxed.
        logits: the places are those of the maps' sigmoid, which is taken of the samples.

    Returns:
        One place a map.
    """
    if not len(maps):
        return []
    side = rule.grid
    sampled = sample_content(maps, frame, side)  # [N, side, side]
    values = (sampled.sigmoid() if logits else sampled).cpu().numpy()
    flat = values.reshape(len(values), -1)
    best = flat.argmax(axis=1)
    low, peak = flat.min(axis=1), flat.max(axis=1)
    threshold = rule.thresholds(low, peak)
    above = values >= threshold.astype(values.dtype)[:, None, None]
    labels, count = ndimage.label(above, _NEIGHBORS)
    boxes: list[list[tuple[float, ...]]] = [[] for _ in values]
    if count:
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        areas[0] = 0  # what is in no component
        large = areas >= max(1, rule.min_area * side**2)
        # Specks go before extents are looked for: a map may have thousands of them.
        labels = np.where(large, large.cumsum(), 0).astype(labels.dtype)[labels]
        step = np.array([frame.width / side, frame.height / side])
        for component, extent in enumerate(ndimage.find_objects(labels), start=1):
            rows, columns = extent[1:]
            corners = np.array([[columns.start, rows.start], [columns.stop, rows.stop]]) * step
            score = values[extent].max(where=labels[extent] == component, initial=-np.inf)
            boxes[extent[0].start].append((*corners.ravel().tolist(), float(score)))
    places = []
    for number, found in enumerate(boxes):
        table = np.array(sorted(found, key=lambda box: -box[4]), dtype=np.float32).reshape(-1, 5)
        row, column = divmod(int(best[number]), side)
        places.append(
            Place(
                point=((column + 0.5) * frame.width / side, (row + 0.5) * frame.height / side),
                peak=float(peak[number]),
                low=float(low[number]),
                threshold=float(threshold[number]),
                boxes=table[:, :4],
                scores=table[:, 4],
            )
        )
    return places
