# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Intervals against a plain loop over the same draws, and against what is known of a distribution."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from radbundles.components.metrics import Interval, bootstrap_interval, percentile_interval, resample_counts


def nan_mean(values: Any) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def plain(values: Any, groups: Any, clusters: Any, *, resamples: int, seed: int) -> list[float]:
    """The statistic of each resample, row by row."""
    units = list(dict.fromkeys(clusters))
    found = []
    for block in resample_counts(len(units), resamples, seed):
        for counts in block.astype(int):
            times = dict(zip(units, counts, strict=True))
            members: dict[Any, list[float]] = defaultdict(list)
            for value, group, cluster in zip(values, groups, clusters, strict=True):
                members[group] += [value] * times[cluster]
            found.append(nan_mean([nan_mean(entries) for entries in members.values()]))
    return found


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("classes", [1, 4])
def test_equals_a_plain_loop_over_the_same_draws(clustered: bool, classes: int) -> None:
    generator = np.random.default_rng(3)
    values = generator.random(60)
    values[::7] = np.nan
    groups = [f"class {k}" for k in generator.integers(classes, size=60)]
    clusters = [f"patient {k}" for k in generator.integers(15, size=60)] if clustered else list(range(60))
    found = bootstrap_interval(
        values,
        groups=groups if classes > 1 else None,
        statistic="class_mean" if classes > 1 else "mean",
        clusters=clusters if clustered else None,
        resamples=200,
        seed=5,
    )
    replicates = sorted(plain(values, groups, clusters, resamples=200, seed=5))
    members = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        members[group].append(value)
    assert found.estimate == pytest.approx(nan_mean([nan_mean(entries) for entries in members.values()]), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((replicates[4], replicates[194]), abs=1e-12)


def test_bounds_are_the_official_entries_of_a_thousand() -> None:
    replicates = np.random.default_rng(0).random(1000)
    ordered = np.sort(replicates)
    assert tuple(percentile_interval(0.5, replicates)) == (0.5, ordered[24], ordered[974])
    assert tuple(percentile_interval(0.5, replicates, 0.9)) == (0.5, ordered[49], ordered[949])


@pytest.mark.parametrize("R", [1, 7, 40, 999])
@pytest.mark.parametrize("level", [0.5, 0.68, 0.95])
def test_bounds_are_the_inverted_distribution_function(R: int, level: float) -> None:
    replicates = np.random.default_rng(R).random((R, 3))
    shares = [round((1 - level) / 2, 9), round((1 + level) / 2, 9)]
    expected = np.quantile(replicates, shares, axis=0, method="inverted_cdf")
    _, low, high = percentile_interval(replicates.mean(0), replicates, level)
    np.testing.assert_array_equal([low, high], expected)


def test_undefined_replicates_are_left_out() -> None:
    replicates = np.column_stack([np.arange(100.0), np.full(100, np.nan)])
    replicates[50:, 0] = np.nan
    _, low, high = percentile_interval([1.0, np.nan], replicates, 0.9)
    assert (low[0], high[0]) == (2, 47) and math.isnan(low[1]) and math.isnan(high[1])


def test_columns_are_resampled_together() -> None:
    values = np.random.default_rng(1).random((50, 2))
    table = bootstrap_interval(np.column_stack([values, values[:, 0] - 1]), resamples=300)
    first = bootstrap_interval(values[:, 0], resamples=300)
    assert isinstance(first.low, float) and table.low.shape == (3,)
    assert (first.estimate, first.low, first.high) == pytest.approx([bound[0] for bound in table], abs=1e-12)
    for bound in table:
        assert bound[2] == pytest.approx(bound[0] - 1, abs=1e-12)


def test_seed_decides() -> None:
    values = np.random.default_rng(1).random(80)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    samples = generator.exponential(size=(300, 60))
    covered = 0
    for place, sample in enumerate(samples):
        _, low, high = bootstrap_interval(sample, resamples=400, seed=place)
        covered += low <= 1 <= high
    # 95 % nominal; the percentile bootstrap of a skewed mean falls short by about two points at N = 60.
    assert 0.89 <= covered / 300 <= 0.975


def test_clusters_widen_the_interval_of_repeated_rows() -> None:
    patients = np.random.default_rng(2).normal(size=100)
    values, clusters = np.repeat(patients, 9), np.repeat(np.arange(100), 9)
    rows = bootstrap_interval(values)
    by_patient = bootstrap_interval(values, clusters=clusters.tolist())
    assert (by_patient.high - by_patient.low) / (rows.high - rows.low) == pytest.approx(3, rel=0.15)
    assert by_patient == pytest.approx(bootstrap_interval(patients), abs=1e-12)


def test_every_resample_draws_as_many_as_there_are() -> None:
    counts = np.concatenate(list(resample_counts(700, 5000, seed=0)))
    assert counts.shape == (5000, 700) and (counts.sum(1) == 700).all()
    assert counts.mean(0).std() < 0.02 and counts.var() == pytest.approx(1 - 1 / 700, rel=0.01)


def test_score_without_values_is_undefined() -> None:
    found = bootstrap_interval([math.nan, math.nan], resamples=10)
    assert all(math.isnan(bound) for bound in found)


def test_class_that_a_resample_misses_is_left_out_of_it() -> None:
    found = bootstrap_interval([0.0, 1.0], groups=["a", "b"], statistic="class_mean", resamples=100)
    assert (found.estimate, found.low, found.high) == (0.5, 0, 1)


def test_text_of_an_interval() -> None:
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
    assert (
        str(Interval(np.array([0.5, 1]), np.zeros(2), np.ones(2))) == "0.500 (0.000 to 1.000); 1.000 (0.000 to 1.000)"
    )


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        ([], {}, "at least one entry"),
        ([[[1.0]]], {}, r"got shape \[1, 1, 1\]"),
        ([1.0], {"statistic": "median"}, "'median'"),
        ([1.0], {"statistic": "class_mean"}, "needs groups"),
        ([1.0], {"groups": ["a"]}, "takes no groups"),
        ([1.0], {"clusters": ["a", "b"]}, "clusters has 2 entries, but there are 1"),
        ([1.0], {"level": 1.0}, "between 0 and 1, got 1.0"),
        ([1.0], {"resamples": 0}, "got 1 and 0"),
    ],
)
def test_wrong_arguments_are_refused(values: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **arguments)
