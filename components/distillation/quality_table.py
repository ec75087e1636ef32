# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The quality of a distilled file as a Markdown table, for pages that publish it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbundles.components.distillation.quality_scores import CERTAINTIES

_ROWS = (*CERTAINTIES, "all", "found")
_HEAD = (
    "| Reports | Certainty | Labels | Precision | Recall | F1 |",
    "| --- | --- | --- | --- | --- | --- |",
)


def quality_table(result: Mapping[str, Any]) -> str:
    """Precision, recall and F1 with their intervals, of each certainty and part.

    Args:
        result: of :func:`~radbundles.components.distillation.judge_distilled` or ``judge_outputs``.
    """
    lines = list(_HEAD)
    for scope in result["scopes"]:
        if scope["part"] is None:
            continue
        drawn = "" if scope["drawn"] is None else f", {scope['drawn']}"
        for name in _ROWS if scope["drawn"] is None else ("all",):
            row = scope["scores"][name]
            rates = " | ".join(_rate(row[rate]) for rate in ("precision", "recall", "f1"))
            where = f"{scope['part']}{drawn} ({scope['reports']:,})"
            lines.append(f"| {where} | {name} | {row['tp'] + row['fn']:,} | {rates} |")
    return "\n".join(lines)


def _rate(rate: Mapping[str, float] | None) -> str:
    return "undefined" if rate is None else f"{rate['estimate']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"
