# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores on a card: out of result files, never written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radbundles.components.cards.data_tables import table
from radbundles.components.cards.read_bundle import BundleFiles

BENCHMARK_HEADS = (
    "Study (images tested)", "Labels used", "Score", "Pre-trained", "From scratch", "Difference",
)  # fmt: skip
_NONE = "No weights are published with this bundle, so there are no figures of it to quote."
_UNJUDGED = "Nobody has judged these weights: `docs/evaluation.json`, which an evaluation writes, is not there."


def performance(files: BundleFiles) -> str:
    """Write the scores of a bundle's weights, or of a recipe without weights what its benchmark found.

    ``docs/evaluation.json`` has what the weights reach, see :func:`~radbundles.components.hub.record_evaluation`;
    ``docs/benchmark.json`` what others of the same recipe did in the project's benchmark, which says nothing of these.

    Raises:
        ValueError: a file is no such result.
    """
    if files.has_weights:
        result = files.document("evaluation.json")
        return _UNJUDGED if result is None else _evaluation(result)
    blocks = [_NONE]
    benchmark = files.document("benchmark.json")
    if benchmark is not None:
        blocks += [benchmark["about"], benchmark_table(benchmark["studies"])]
    return "\n\n".join(block for block in blocks if block)


def benchmark_table(studies: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Write the figures of the downstream benchmark.

    Args:
        studies: title -> share of the labels -> figures, as
            :func:`~radbundles.components.benchmarks.downstream_table.summarize` gives them.
    """
    rows = []
    for title, shares in studies.items():
        for share, entry in shares.items():
            for score, values in entry.items():
                if isinstance(values, dict) and "difference" in values:
                    told = [_spread(values[init], values[f"{init} seeds"]) for init in ("pretrained", "scratch")]
                    head = (f"{title} ({entry['images']})", f"{float(share):.0%}", score)
                    rows.append((*head, *told, interval(values["difference"], signed=True)))
    return table(BENCHMARK_HEADS, rows)


def interval(bounds: Sequence[float | None], *, signed: bool = False) -> str:
    """Write ``[estimate, low, high]``; what is not defined is called so."""
    if any(bound is None for bound in bounds):
        return "not defined" if bounds[0] is None else f"{bounds[0]:.3f}"
    sign = "+" if signed else ""
    estimate, low, high = bounds
    return f"{estimate:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _spread(bounds: Sequence[float | None], seeds: Sequence[float]) -> str:
    return interval(bounds) if len(seeds) < 2 else f"{interval(bounds)}; seeds {min(seeds):.3f} to {max(seeds):.3f}"


def _evaluation(result: Mapping[str, Any]) -> str:
    """Table by class of an evaluation with intervals; of one without, its numbers."""
    if "mean" not in result:
        plain = [(name, f"{value:.4g}") for name, value in result.items() if isinstance(value, (int, float))]
        return table(("Score of `evaluate.json`", "Value"), plain)
    metrics = list(result["mean"])
    rows = [("mean", *(interval(result["mean"][name]) for name in metrics))]
    for name, scores in (result.get("classes") or {}).items():
        cells = [scores.get(metric) for metric in metrics]
        rows.append((name, *(interval(cell) if isinstance(cell, list) else "" for cell in cells)))
    protocol = (
        f"`evaluate.json` on the {result.get('section', 'test')} section: {result.get('samples', '?')} images of "
        f"{result.get('patients', '?')} patients. In brackets the 95 % interval over patients drawn anew; thresholds "
        "and temperatures are those of the validation section."
    )
    notes = "\n".join(f"- {note}" for note in result.get("notes") or ())
    return "\n\n".join(part for part in (protocol, table(("Class", *metrics), rows), notes) if part)
