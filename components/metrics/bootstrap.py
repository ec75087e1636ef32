# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Percentile bootstrap: how far a score would move had other patients been drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Interval", "bootstrap_interval", "percentile_interval", "resample_counts", "resampled_units"]

Floats = NDArray[np.float64]
# Entries of a block of resamples: a few megabytes, whatever the number of samples.
_BLOCK = 2**20


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval: numbers, or arrays of one shape."""

    estimate: Any
    low: Any
    high: Any

    def __str__(self) -> str:
        if np.ndim(self.estimate):
            return "; ".join(str(Interval(*entry)) for entry in zip(*self, strict=True))
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap_interval(
    values: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    clusters: Sequence[Any] | None = None,
    statistic: Literal["mean", "class_mean"] = "mean",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of per-sample scores with its percentile bootstrap interval.

    Rows are drawn with replacement, and the mean is taken anew each time; ``nan`` entries take no part in it. With
    1000 resamples the bounds of 95 % are the sorted entries 24 and 974 counted from 0, as in DCXFM's evaluation.

    Args:
        values: [N], or [N, M] for M scores of the same samples, which are then resampled together.
        groups: class of each sample, for ``class_mean``.
        clusters: what is drawn in place of rows: the patient (or image) of each row. Rows of one patient are alike, and
            drawing them one by one makes the interval too narrow.
        statistic: ``"mean"`` of all rows, or ``"class_mean"``: unweighted mean of the means of the groups; a group that
            a resample has no sample of is left out of it.
        resamples: number of resamples.
        level: confidence level, between 0 and 1.
        seed: of the draws; the same arguments give the same interval.

    Returns:
        The estimate and its bounds, numbers for [N] and arrays [M] for [N, M]; ``nan`` for a score without any value.

    Raises:
        ValueError: no rows, lengths that differ, a missing or superfluous ``groups``, or an argument out of range.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim not in (1, 2) or not table.size:
        raise ValueError(f"values must be [N] or [N, M] with at least one entry, got shape {list(table.shape)}")
    if statistic not in ("mean", "class_mean"):
        raise ValueError(f"statistic must be 'mean' or 'class_mean', got {statistic!r}")
    if (groups is None) == (statistic == "class_mean"):
        raise ValueError(f"statistic {statistic!r} {'needs' if groups is None else 'takes no'} groups")
    N = len(table)
    group = np.zeros(N, dtype=np.intp) if groups is None else _numbered(groups, N, "groups")
    cluster = resampled_units(clusters, N)
    columns = table.reshape(N, -1)  # [N, M]
    M, G, U = columns.shape[1], int(group.max()) + 1, int(cluster.max()) + 1

    known = ~np.isnan(columns)
    sums, counts = np.zeros((2, U, G, M))
    np.add.at(sums, (cluster, group), np.where(known, columns, 0))
    np.add.at(counts, (cluster, group), known)
    sums, counts = sums.reshape(U, G * M), counts.reshape(U, G * M)

    def means(weights: Floats) -> Floats:
        """Means of the resamples whose [r, U] weights are given -> [r, M]."""
        with np.errstate(invalid="ignore"):
            per_group = ((weights @ sums) / (weights @ counts)).reshape(-1, G, M)
        present = ~np.isnan(per_group)
        with np.errstate(invalid="ignore"):
            return np.where(present, per_group, 0).sum(1) / present.sum(1)

    replicates = np.concatenate([means(block) for block in resample_counts(U, resamples, seed)])
    interval = percentile_interval(means(np.ones((1, U)))[0], replicates, level)
    return interval if table.ndim == 2 else Interval(*(float(bound[0]) for bound in interval))


def resample_counts(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn when as many as there are get drawn with replacement.

    Args:
        units: number of units.
        resamples: number of resamples.
        seed: of the draws.

    Yields:
        Blocks [r, units] of whole numbers as floats, ready to multiply with; ``resamples`` rows in all. Their number
        of rows depends on ``units`` alone, so the draws do not change with the memory at hand.

    Raises:
        ValueError: fewer than one unit or resample.
    """
    if units < 1 or resamples < 1:
        raise ValueError(f"units and resamples must be 1 or more, got {units} and {resamples}")
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // units)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(units, size=(rows, units))
        drawn += np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def percentile_interval(estimate: ArrayLike, replicates: ArrayLike, level: float = 0.95) -> Interval:
    """Bounds that leave half of ``1 - level`` of the replicates below and above.

    The bound at share q of R replicates is the entry ``ceil(q R)``, counted from 1, of the sorted ones: 25 and 975 of
    1000 at 95 %. Replicates that are ``nan`` (a resample in which the score is not defined) are left out.

    Args:
        estimate: score of the sample itself, any shape.
        replicates: [R, ...] scores of the resamples.
        level: confidence level, between 0 and 1.

    Raises:
        ValueError: the level is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    ordered = np.sort(np.asarray(replicates, dtype=np.float64), axis=0)  # nan last
    defined = (~np.isnan(ordered)).sum(0)

    def bound(share: float) -> Floats:
        # (1 - 0.95) / 2 is a little more than 0.025, and must not become entry 26.
        place = np.ceil(np.round(share * defined, 9)).astype(np.intp) - 1
        taken = np.take_along_axis(ordered, np.maximum(place, 0)[None], axis=0)[0]
        return np.asarray(taken)

    return Interval(np.asarray(estimate), bound((1 - level) / 2), bound((1 + level) / 2))


def resampled_units(clusters: Sequence[Any] | None, length: int) -> NDArray[np.intp]:
    """Number of the unit that each row is drawn with: its cluster, or the row itself -> [length].

    Raises:
        ValueError: another number of clusters than rows.
    """
    return np.arange(length) if clusters is None else _numbered(clusters, length, "clusters")


def _numbered(names: Sequence[Any], length: int, what: str) -> NDArray[np.intp]:
    if len(names) != length:
        raise ValueError(f"{what} has {len(names)} entries, but there are {length} rows of values")
    numbers: dict[Any, int] = {}
    return np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), dtype=np.intp, count=length)
