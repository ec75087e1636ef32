# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which detections hit which boxes, as the COCO evaluation decides it: the basis of every detection score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["COCO_IOUS", "OFFICIAL_IOUS", "ImageBoxes", "Matches", "box_ious", "match_boxes"]

Floats = NDArray[np.float64]
COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
OFFICIAL_IOUS = tuple(np.linspace(0.4, 0.75, 8).tolist())
_CERTAIN = 1 - 1e-10  # an overlap of 1 must be reached in spite of rounding


class ImageBoxes(NamedTuple):
    """What was found in one image, and what is there; n detections, m true boxes.

    Boxes are x0, y0, x1, y1 in pixels, ends exclusive.
    """

    boxes: Floats  # [n, 4]
    scores: Floats  # [n]
    classes: NDArray[np.intp]  # [n]
    truths: Floats  # [m, 4]
    truth_classes: NDArray[np.intp]  # [m]


@dataclass(frozen=True)
class Matches:
    """The detections of one class in N images, highest score first, and whether each hits a true box.

    Args:
        ious: T overlaps (intersection over union), from each of which on a detection may hit.
        scores: [D], falling; of equal scores the earlier image comes first, and within it the earlier detection.
        images: [D] place of the image of each detection.
        hits: [T, D] bool.
        truths: [N] number of true boxes in each image.
    """

    ious: tuple[float, ...]
    scores: Floats
    images: NDArray[np.intp]
    hits: NDArray[np.bool_]
    truths: NDArray[np.intp]

    def place(self, iou: float) -> int:
        """Place of an overlap.

        Raises:
            ValueError: the boxes were not matched at this overlap.
        """
        found = np.flatnonzero(np.isclose(self.ious, iou, rtol=0, atol=1e-9))
        if not len(found):
            raise ValueError(f"boxes were matched at overlaps of {self.ious}, not of {iou}")
        return int(found[0])

    def above(self, threshold: float) -> Matches:
        """The matches without the detections of a lower score; those do not change what the others hit."""
        kept = self.scores >= threshold
        return Matches(self.ious, self.scores[kept], self.images[kept], self.hits[:, kept], self.truths)

    def take(self, rows: NDArray[np.intp]) -> Matches:
        """The matches in some images; each image once, in their order here."""
        place = np.full(len(self.truths), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.images] >= 0
        return Matches(self.ious, self.scores[kept], place[self.images[kept]], self.hits[:, kept], self.truths[rows])


def match_boxes(
    images: Sequence[ImageBoxes], number: int, ious: Sequence[float] = COCO_IOUS, *, max_detections: int = 100
) -> Matches:
    """Match detections and true boxes of one class, image by image.

    Source: COCO API, ``COCOeval.evaluateImg``, without regions to ignore. From the highest score down, a detection hits
    the true box that it overlaps most among those not hit yet, if it overlaps it enough; a second one on the same box
    is a false alarm. What a detection hits does not depend on detections of lower score, so that one matching serves
    every threshold. MONAI's ``matching_batch`` is the same algorithm, one overlap at a time and with overlaps in
    float32, which can fall on the other side of a threshold.

    Args:
        images: N images.
        number: of the class.
        ious: T overlaps (intersection over union).
        max_detections: of one image, those of the highest scores.

    Raises:
        ValueError: an overlap not above 0 and up to 1, or fewer than one detection.
    """
    if not len(ious) or not all(0 < iou <= 1 for iou in ious):
        raise ValueError(f"ious must be one or more numbers above 0 and up to 1, got {list(ious)}")
    if max_detections < 1:
        raise ValueError(f"max_detections must be 1 or more, got {max_detections}")
    limits = np.minimum(ious, _CERTAIN)
    scores: list[Floats] = []
    places: list[NDArray[np.intp]] = []
    hits: list[NDArray[np.bool_]] = []
    truths = np.zeros(len(images), np.intp)
    for place, image in enumerate(images):
        found = np.flatnonzero(image.classes == number)
        found = found[np.argsort(-image.scores[found], kind="stable")[:max_detections]]
        true = image.truths[image.truth_classes == number]
        truths[place] = len(true)
        scores.append(image.scores[found])
        places.append(np.full(len(found), place, np.intp))
        hits.append(_match(box_ious(image.boxes[found], true), limits))
    if not images:
        return Matches(tuple(ious), np.zeros(0), np.zeros(0, np.intp), np.zeros((len(ious), 0), bool), truths)
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="stable")
    hit = np.concatenate(hits, axis=1)[:, order]
    return Matches(tuple(ious), score[order], np.concatenate(places)[order], hit, truths)


def box_ious(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union [n, m] of boxes [n, 4] and [m, 4], in float64; 0 for boxes without area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas, other_areas = (np.prod(part[:, 2:] - part[:, :2], axis=1) for part in (boxes, others))
    union = areas[:, None] + other_areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _match(ious: Floats, limits: Floats) -> NDArray[np.bool_]:
    """Hits [T, n] of overlaps [n, m] of detections in falling order of their scores."""
    n, m = ious.shape
    hits = np.zeros((len(limits), n), bool)
    free = np.ones((len(limits), m), bool)
    # Most detections overlap nothing enough, and are passed over.
    for detection in np.flatnonzero((ious >= limits.min()).any(axis=1)) if m else ():
        usable = np.where(free & (ious[detection] >= limits[:, None]), ious[detection], -1)  # [T, m]
        best = m - 1 - usable[:, ::-1].argmax(axis=1)  # the last of equals
        hit = np.flatnonzero(usable.max(axis=1) >= 0)
        hits[hit, detection] = True
        free[hit, best[hit]] = False
    return hits
