# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection scores of many weightings of the same images at once; the estimate is the weighting with ones.

A resample of the bootstrap is a weighting: each image counts as often as it was drawn. Boxes are matched and sorted
once instead of once a resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from radbundles.components.metrics.detection_matches import COCO_IOUS, OFFICIAL_IOUS, Matches

__all__ = [
    "FROC_RATES",
    "average_precision",
    "average_recall",
    "best_f1_threshold",
    "class_mean",
    "coco_scores",
    "cut_scores",
    "froc_sensitivity",
    "official_ecamp_map",
]

Floats = NDArray[np.float64]
FROC_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
_RECALLS = np.linspace(0, 1, 101)
# Entries of [resamples, hits] at a time: some tens of megabytes, whatever the number of detections.
_BLOCK = 2**22


def average_precision(matches: Matches, weights: Floats) -> Floats:
    """Average precision: mean over 101 recalls of the best precision that is reached at this recall or above.

    Source: COCO API, ``COCOeval.accumulate``. Detections of equal score count one by one, in their order.

    Args:
        matches: of one class.
        weights: [R, N] of the images, not negative.

    Returns:
        [R, T], ``nan`` where no true box weighs anything.
    """
    # Precision falls with every false alarm, so its best values are at hits, of which there are few.
    places = np.flatnonzero(matches.hits.any(axis=0))

    def scores(weights: Floats) -> Floats:
        called = _drawn_up_to(places, matches.images, weights)  # [r, hits]
        drawn = weights[:, matches.images[places]]
        total = (weights @ matches.truths)[:, None]
        areas = np.zeros((len(weights), len(matches.ious)))
        for t, hit in enumerate(matches.hits[:, places]):
            found, among = np.cumsum(drawn[:, hit], axis=1), called[:, hit]
            with np.errstate(invalid="ignore", divide="ignore"):
                recall = found / total
                precision = np.where(among > 0, found / among, 0)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            reached = np.searchsorted(_RECALLS, recall, side="right")  # recalls of the 101 up to each hit
            areas[:, t] = (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(_RECALLS)
        return np.where(total > 0, areas, np.nan)

    return _in_blocks(scores, weights, len(places))


def average_recall(matches: Matches, weights: Floats) -> Floats:
    """Share of the true boxes that are hit, whatever the score -> [R, T], ``nan`` where no true box weighs anything.

    The mean over the overlaps is COCO's AR100, if 100 detections of an image were matched.
    """
    N = len(matches.truths)
    hits = np.stack([np.bincount(matches.images[row], minlength=N) for row in matches.hits], axis=1)  # [N, T]
    with np.errstate(invalid="ignore"):
        return np.asarray((weights @ hits) / (weights @ matches.truths)[:, None])


def froc_sensitivity(matches: Matches, iou: float, weights: Floats, rates: Sequence[float] = FROC_RATES) -> Floats:
    """Free-response ROC: share of the true boxes that are hit, at given numbers of false alarms per image.

    Between two thresholds the curve is a straight line, and beyond the lowest score it goes on level, as in MONAI's
    ``compute_froc_score``, whose curve lacks its last point when every true box is hit.

    Args:
        matches: of one class.
        iou: overlap of a hit.
        weights: [R, N] of the images, not negative.
        rates: false alarms per image.

    Returns:
        [R, rates], ``nan`` where no true box weighs anything.
    """
    hits = matches.hits[matches.place(iou)]
    ends = np.flatnonzero(np.diff(matches.scores, append=-np.inf))  # last of each run of equal scores
    # The curve is level but where something is hit, so it is drawn from the ends before and after each rise.
    rises = np.diff(np.cumsum(hits)[ends], prepend=0) > 0
    ends = ends[rises | np.append(rises[1:], True)] if len(ends) else ends

    def scores(weights: Floats) -> Floats:
        called = _drawn_up_to(ends, matches.images, weights)  # [r, ends]
        found = _drawn_up_to(ends, matches.images, weights, hits)
        truths = (weights @ matches.truths)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            alarms, sensitivity = (called - found) / weights.sum(axis=1)[:, None], found / truths
        start = np.zeros((len(weights), 1))
        curves = zip(np.hstack([start, alarms]), np.hstack([start, sensitivity]), strict=True)
        return np.where(truths > 0, np.stack([np.interp(rates, x, y) for x, y in curves]), np.nan)

    return _in_blocks(scores, weights, len(ends))


def cut_scores(matches: Matches, iou: float, threshold: float, weights: Floats) -> dict[str, Floats]:
    """What detections with a score at or above a threshold are worth.

    Args:
        matches: of one class.
        iou: overlap of a hit.
        threshold: of the scores.
        weights: [R, N] of the images, not negative.

    Returns:
        ``sensitivity`` (share of the true boxes that are hit), ``precision`` (share of the detections that hit), ``f1``
        of both, ``false_alarms`` per image, and ``clean_negatives`` (share of the images without a true box that have
        no detection), each [R]; ``nan`` where what it divides by weighs nothing, and F1 where there is no true box.
    """
    N = len(matches.truths)
    called = matches.scores >= threshold
    hits = matches.hits[matches.place(iou)]
    hit, false = (np.bincount(matches.images[called & part], minlength=N) for part in (hits, ~hits))
    negative = matches.truths == 0
    columns = np.stack([hit, false, matches.truths, negative, negative & (false == 0)], axis=1).astype(np.float64)
    tp, fp, truths, negatives, clean = (weights @ columns).T  # [R] each
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "sensitivity": tp / truths,
            "precision": tp / (tp + fp),
            "f1": np.where(truths > 0, 2 * tp / (tp + fp + truths), np.nan),
            "false_alarms": fp / weights.sum(axis=1),
            "clean_negatives": clean / negatives,
        }


def best_f1_threshold(matches: Matches, iou: float) -> float | None:
    """Threshold of the best F1, to be chosen on the validation section; None where nothing is hit.

    It lies half way between the lowest score that is called and the next one, so that no rounding moves a detection
    across it. Of several equally good ones the highest is taken.
    """
    ends = np.flatnonzero(np.diff(matches.scores, append=-np.inf))
    found = np.cumsum(matches.hits[matches.place(iou)])[ends]
    if not len(found) or not found[-1]:
        return None
    best = int(np.argmax(found / (ends + 1 + matches.truths.sum())))  # half of F1
    below = ends[best] + 1
    lowest = float(matches.scores[ends[best]])
    return lowest if below == len(matches.scores) else (lowest + float(matches.scores[below])) / 2


def coco_scores(per_class: Sequence[Matches], weights: Floats) -> dict[str, Floats]:
    """The figures of the COCO evaluation.

    They are held against the COCO API in the tests. MONAI's ``COCOMetric`` differs where a class has no true box: its
    mean takes -1 for it.

    Args:
        per_class: K classes, matched at the overlaps of :data:`COCO_IOUS`, and perhaps at others.
        weights: [R, N] of the images, not negative.

    Returns:
        ``ap`` (mean over the overlaps .50, .55, ... .95), ``ap50``, ``ap75`` and ``ar100`` (if 100 detections of an
        image were matched), each [R, K]; ``nan`` for a class without a true box, which COCO's mean over the classes
        leaves out, see :func:`class_mean`.
    """
    columns: dict[str, list[Floats]] = {"ap": [], "ap50": [], "ap75": [], "ar100": []}
    for matches in per_class:
        coco = [matches.place(iou) for iou in COCO_IOUS]
        precision, recall = average_precision(matches, weights), average_recall(matches, weights)  # [R, T]
        columns["ap"].append(precision[:, coco].mean(axis=1))
        columns["ap50"].append(precision[:, matches.place(0.5)])
        columns["ap75"].append(precision[:, matches.place(0.75)])
        columns["ar100"].append(recall[:, coco].mean(axis=1))
    return {name: np.stack(values, axis=1) for name, values in columns.items()}


def official_ecamp_map(per_class: Sequence[Matches], weights: Floats, *, confidence: float = 0.5) -> Floats:
    """Mean average precision as in ECAMP's official evaluation, kept for comparison with published figures.

    The mean over the overlaps .40, .45, ... .75 and the classes, of images with at least one true box and at least one
    detection of this confidence. Neither false alarms in images without a box count nor images in which nothing was
    found, so it is optimistic (quirk Q37).

    Args:
        per_class: K classes, matched at the overlaps of :data:`OFFICIAL_IOUS`, and perhaps at others.
        weights: [R, N] of the images, not negative.
        confidence: detections of a lower score do not exist.

    Returns:
        [R], ``nan`` where no image counts.
    """
    sure = [matches.above(confidence) for matches in per_class]
    N = weights.shape[1]
    found = sum(np.bincount(matches.images, minlength=N) for matches in sure)
    counted = np.flatnonzero((found > 0) & (sum(matches.truths for matches in sure) > 0))
    overlaps = [[matches.place(iou) for iou in OFFICIAL_IOUS] for matches in sure]
    columns = [
        average_precision(matches.take(counted), weights[:, counted])[:, places].mean(axis=1)
        for matches, places in zip(sure, overlaps, strict=True)
    ]
    return class_mean(np.stack(columns, axis=1))


def class_mean(values: Floats) -> Floats:
    """Mean over the last axis without ``nan``; ``nan`` where there is nothing else."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1))


def _drawn_up_to(
    ends: NDArray[np.intp], images: NDArray[np.intp], weights: Floats, counted: NDArray[np.bool_] | None = None
) -> Floats:
    """Weight of the detections up to some places, these included.

    Args:
        ends: [E] places, rising.
        images: [D] image of each detection.
        weights: [r, N] of the images.
        counted: [D] which detections count; by default all.

    Returns:
        [r, E].
    """
    D = int(ends[-1]) + 1 if len(ends) else 0
    part = np.searchsorted(ends, np.arange(D))
    ones = np.ones(D) if counted is None else counted[:D].astype(np.float64)
    # A sparse product: [r, D] would be a hundred times as large as what is asked for.
    sums = csr_matrix((ones, (part, images[:D])), shape=(len(ends), weights.shape[1])) @ weights.T
    return np.asarray(np.cumsum(sums, axis=0).T)


def _in_blocks(scores: Callable[[Floats], Floats], weights: Floats, width: int) -> Floats:
    """Apply a function of weights [r, N] to blocks of them, so that its arrays [r, width] fit into memory."""
    step = max(1, _BLOCK // max(width, 1))
    return np.concatenate([scores(weights[start : start + step]) for start in range(0, len(weights), step)])
