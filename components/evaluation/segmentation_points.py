# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From which score on a pixel is predicted, chosen on the validation section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from radbundles.components.evaluation.segmentation_calibration import pixel_temperature
from radbundles.components.evaluation.segmentation_table import SegmentationTable
from radbundles.components.metrics.segmentation import overlap_scores
from radbundles.components.metrics.segmentation_histogram import LEVELS, counts_at_levels

__all__ = ["RULES", "mask_levels", "mask_points"]

RULES = ("dice", "official_dice")
PLAIN = 0.5


def mask_points(table: SegmentationTable, rule: str = "dice") -> dict[str, Any]:
    """Temperature and threshold of each class.

    The threshold is the one of 33 between the scores 0.047 and 0.953 (before calibration) with the highest mean over
    the images; of equals, the one nearest to 0.5. It is told as a calibrated score, that of logits divided by the
    temperature.

    Args:
        table: rows of the validation section.
        rule: ``"dice"``, over the images where the class is present, or ``"official_dice"``, over all images, where
            a false alarm counts as much as a missed structure.

    Returns:
        ``rule``, ``thresholds`` and ``temperature`` ({class: number}; None for a class without a place in any image,
        for which 0.5 and logits as they are hold), and ``samples``, the number of images.

    Raises:
        ValueError: an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    thresholds: dict[str, float | None] = {}
    temperature: dict[str, float | None] = {}
    for place, name in enumerate(table.classes):
        part = table.take(np.flatnonzero(table.places == place))
        temperature[name] = pixel_temperature(part)
        thresholds[name] = None
        if part.present.any():
            predicted, overlap = counts_at_levels(*part.entries, len(part))
            pixels, truth = part.counts[:, 0, None], part.counts[:, 1, None]
            values = np.nanmean(overlap_scores(pixels, truth, predicted, overlap)[rule], axis=0)
            best = np.flatnonzero(values >= values.max() - 1e-12)
            level = LEVELS[best[np.argmin(np.abs(LEVELS[best]))]]
            thresholds[name] = float(expit(level / (temperature[name] or 1.0)))
    samples = len(set(table.ids))
    return {"rule": rule, "thresholds": thresholds, "temperature": temperature, "samples": samples}


def mask_levels(points: Mapping[str, Any] | None, classes: Sequence[str]) -> list[float]:
    """Logit from which on a pixel is predicted, of each class.

    Args:
        points: of :func:`mask_points`; None predicts from a score of 0.5 on.
        classes: names.

    Raises:
        ValueError: a class without an entry, or a threshold that is not between 0 and 1.
    """
    if points is None:
        return [0.0] * len(classes)
    levels = []
    for name in classes:
        if name not in points["thresholds"]:
            raise ValueError(
                f"the operating points have no threshold of {name!r}, only of {list(points['thresholds'])}"
            )
        threshold = points["thresholds"][name]
        threshold = PLAIN if threshold is None else float(threshold)
        if not 0 < threshold < 1:
            raise ValueError(f"the threshold of {name!r} must be between 0 and 1, got {threshold}")
        # The level of a plain score of 0.5 is 0, at any temperature.
        levels.append(float(logit(threshold)) * (points["temperature"].get(name) or 1.0))
    return levels
