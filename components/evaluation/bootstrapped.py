# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Percentile intervals of scores that are computed for many weightings of the samples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.metrics.bootstrap import Interval, percentile_interval, resample_counts, resampled_units

__all__ = ["bootstrapped"]

Floats = NDArray[np.float64]


def bootstrapped(
    score: Callable[[Floats], Mapping[str, Floats]],
    clusters: Sequence[Any] | NDArray[np.intp],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Estimates with their intervals; patients are drawn with replacement.

    Args:
        score: from weights [R, N] to named scores [R, ...]. The estimate is that of the weights 1.
        clusters: patient of each of the N samples.
        resamples: number of resamples.
        level: confidence level, between 0 and 1.
        seed: of the draws; two sets of scores with the same clusters and seed are of the same draws.

    Returns:
        name -> interval of numbers or arrays. A resample in which a score is not defined takes no part in its interval.
    """
    units = resampled_units(list(clusters), len(clusters))
    estimates = {name: value[0] for name, value in score(np.ones((1, len(units)))).items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in estimates}
    for block in resample_counts(int(units.max()) + 1, resamples, seed):
        for name, value in score(block[:, units]).items():
            drawn[name].append(value)
    return {
        name: percentile_interval(estimate, np.concatenate(drawn[name]), level) for name, estimate in estimates.items()
    }
