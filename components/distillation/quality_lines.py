# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The quality of a distilled file as lines for a console; ids, names and numbers, never text of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from radbundles.components.distillation.quality_scores import CERTAINTIES

_SHOWN = 10


def quality_lines(result: Mapping[str, Any]) -> list[str]:
    """What was judged, the F1 of each scope, and a table of scores for each part.

    Args:
        result: of :func:`~radbundles.components.distillation.judge_distilled` or ``judge_outputs``.
    """
    lines = [f"backend {backend['backend']}, version {backend['version']}" for backend in result.get("backends", ())]
    lines += _notes(result)
    lines += ["", f"{'':24}{'reports':>8}{'labels':>8}  {'F1 (95 % interval)':24}F1 of the finding alone"]
    for scope in result["scopes"]:
        each = (_rate(scope["scores"][name]["f1"]) for name in ("all", "found"))
        lines.append(f"{_name(scope):24}{scope['reports']:8,}{scope['labels']:8,}  {next(each):24}{next(each)}")
    for scope in result["scopes"]:
        if scope["part"] is not None and scope["drawn"] is None:
            lines += ["", *scope_lines(scope)]
    return lines


def scope_lines(scope: Mapping[str, Any]) -> list[str]:
    """Precision, recall and F1 of each certainty in one scope of a result, with 95 % intervals."""
    scores = scope["scores"]
    lines = [f"{_name(scope):13}{'precision':24}{'recall':24}{'F1':24}{'tp':>5}{'fp':>5}{'fn':>5}"]
    for name in (*CERTAINTIES, "all", "found", "macro"):
        row = scores[name]
        rates = "".join(f"{_rate(row[rate]):24}" for rate in ("precision", "recall", "f1"))
        counts = "".join(f"{row[count]:5,}" for count in ("tp", "fp", "fn")) if "tp" in row else ""
        lines.append(f"{name:13}{rates}{counts}".rstrip())
    lines.append(f"certainty right where found: {_rate(scores['certainty_accuracy'])}")
    lines.append(f"evidence overlaps the labeled words: {_rate(scores['evidence_overlap'])}")
    return lines


def entity_lines(scope: Mapping[str, Any]) -> list[str]:
    """Labels and F1 of each entity in one scope of a result, the most labeled first."""
    columns = ("support", *CERTAINTIES, "tp", "fp", "fn")
    lines = [f"{'entity':24}" + "".join(f"{column:>10}" for column in (*columns, "F1"))]
    for name, row in scope["entities"].items():
        lines.append(f"{name:24}" + "".join(f"{row[column]:10,}" for column in columns) + f"{row['f1']:10.3f}")
    return lines


def error_lines(result: Mapping[str, Any], part: str | None = None) -> list[str]:
    """Each entity that was judged wrong: id, entity, certainty labeled and given.

    Args:
        result: of ``judge_distilled`` or ``judge_outputs``.
        part: ``tuning`` keeps who mends a backend from seeing what it is held to; None for all.
    """
    wrong = [error for error in result["errors"] if part in (None, error["part"])]
    return [f"{e['id']}  {e['entity']}: labeled {e['labeled'] or 'none'}, given {e['given'] or 'none'}" for e in wrong]


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    if result.get("missing"):
        yield f"without a record, so nothing found: {len(result['missing'])} ({_first(result['missing'])})"
    for reason, count in Counter(result.get("set_aside", {}).values()).most_common():
        names = [name for name, why in result["set_aside"].items() if why == reason]
        yield f"set aside, {reason}: {count} ({_first(names)})"
    if result["unclear"]:
        yield f"unclear labels, which count neither way: {result['unclear']}"
    if result["judged_entities"] is not None:
        left_out = sum(result["left_out"].values())
        yield f"judged on {len(result['judged_entities'])} entities; labels on others, left out: {left_out}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _name(scope: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (scope["part"], scope["drawn"]))) or "all"


def _rate(rate: Mapping[str, float] | None) -> str:
    return "-" if rate is None else f"{rate['estimate']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"
