# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of distilled entities against labels, with intervals that tell how far other reports would move them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CERTAINTIES = ("present", "uncertain", "absent")
# What is counted in a report: each certainty by itself, then "found", which is right with any certainty.
_COUNTED = (*CERTAINTIES, "found")
_RATES = ("precision", "recall", "f1")
Floats = NDArray[np.float64]


class Unit(NamedTuple):
    """One entity of one report, labeled or given or both.

    Args:
        report: number of the report.
        entity: name of the entity.
        labeled: certainty of the label, None without one.
        given: certainty that the backend gave, None if it gave none.
        overlaps: whether its evidence shares a character with the labeled words.
    """

    report: int
    entity: str
    labeled: str | None
    given: str | None
    overlaps: bool = False


def scores(units: Sequence[Unit], reports: int, *, resamples: int, seed: int) -> dict[str, Any]:
    """Precision, recall and F1 of each certainty, of all together and of the finding whatever its certainty.

    A wrong certainty is a false positive of the one given and a false negative of the one labeled. A rate whose
    denominator is zero is None; the macro average goes over the certainties that have the rate.

    Args:
        units: with ``report`` below ``reports``.
        reports: number of reports, also those without a unit.
        resamples: number of bootstrap resamples; whole reports are drawn, since what one report says hangs together.
        seed: of the draws.

    Returns:
        ``present``, ``uncertain``, ``absent``, ``all``, ``found`` (tp, fp, fn, rates), ``macro`` (rates),
        ``certainty_accuracy`` (of what was found) and ``evidence_overlap`` (of what was found with the right
        certainty). A rate is ``{"estimate", "low", "high"}`` with the bounds of its 95 % interval, or None.
    """
    # The folder of the metrics loads torch and MONAI, which who only distills shall not wait for.
    from radbundles.components.metrics.bootstrap import percentile_interval, resample_counts

    counts = _counts(units, reports)
    replicates = np.concatenate(
        [_rates((block @ counts).reshape(-1, 5, 3)) for block in resample_counts(reports, resamples, seed)]
    )
    total = counts.sum(0).reshape(5, 3)
    interval = percentile_interval(_rates(total[None])[0], replicates)
    rates = iter(
        None if np.isnan(estimate) else {"estimate": float(estimate), "low": float(low), "high": float(high)}
        for estimate, low, high in zip(*interval, strict=True)
    )
    whole = {**dict(zip(_COUNTED, total, strict=False)), "all": total[:3].sum(0)}
    result: dict[str, Any] = {}
    for name in (*CERTAINTIES, "all", "found"):
        tp, fp, fn = (int(count) for count in whole[name])
        result[name] = {"tp": tp, "fp": fp, "fn": fn, **{rate: next(rates) for rate in _RATES}}
    result["macro"] = {rate: next(rates) for rate in _RATES}
    result["certainty_accuracy"], result["evidence_overlap"] = rates
    return result


def entity_scores(units: Sequence[Unit]) -> dict[str, dict[str, Any]]:
    """Labels, counts and F1 of each entity, a wrong certainty counted as in :func:`scores`; most labeled first."""
    table: dict[str, dict[str, Any]] = {}
    for unit in units:
        row = table.setdefault(unit.entity, dict.fromkeys(("support", *CERTAINTIES, "tp", "fp", "fn"), 0))
        if unit.labeled is not None:
            row["support"] += 1
            row[unit.labeled] += 1
        right = unit.labeled == unit.given
        row["tp"] += right
        row["fp"] += unit.given is not None and not right
        row["fn"] += unit.labeled is not None and not right
    for row in table.values():
        row["f1"] = 2 * row["tp"] / (2 * row["tp"] + row["fp"] + row["fn"])
    return dict(sorted(table.items(), key=lambda pair: (-pair[1]["support"], pair[0])))


def confusion(units: Sequence[Unit]) -> dict[str, dict[str, int]]:
    """How often each labeled certainty was given as which, ``none`` for no label or nothing given."""
    names = (*CERTAINTIES, "none")
    table = {labeled: dict.fromkeys(names, 0) for labeled in names}
    for unit in units:
        table[unit.labeled or "none"][unit.given or "none"] += 1
    return table


def _counts(units: Sequence[Unit], reports: int) -> Floats:
    """tp, fp and fn of each of ``_COUNTED`` in each report, then how many right ones overlap -> [reports, 15]."""
    counts = np.zeros((reports, 5, 3))
    for unit in units:
        row = counts[unit.report]
        if unit.labeled == unit.given:
            row[CERTAINTIES.index(str(unit.given)), 0] += 1
            row[4, 0] += unit.overlaps
        else:
            if unit.given is not None:
                row[CERTAINTIES.index(unit.given), 1] += 1
            if unit.labeled is not None:
                row[CERTAINTIES.index(unit.labeled), 2] += 1
        row[3, 0 if unit.labeled and unit.given else 1 if unit.given else 2] += 1
    return counts.reshape(reports, 15)


def _rates(sums: Floats) -> Floats:
    """All rates of sums [r, 5, 3] in the order in which :func:`scores` tells them -> [r, 20]."""
    each, found, overlapping = sums[:, :3], sums[:, 3:4], sums[:, 4, 0]
    together = each.sum(1, keepdims=True)
    table = np.concatenate([each, together, found], axis=1)
    tp, fp, fn = table[..., 0], table[..., 1], table[..., 2]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the nan of a rate that is not defined
        rates = np.stack([tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)], axis=-1)  # [r, 5, 3]
        defined = ~np.isnan(rates[:, :3])
        macro = np.where(defined, rates[:, :3], 0).sum(1) / defined.sum(1)
        accuracy = together[:, 0, 0] / found[:, 0, 0]
        overlap = overlapping / together[:, 0, 0]
    return np.concatenate([rates.reshape(-1, 15), macro, accuracy[:, None], overlap[:, None]], axis=1)
