# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distill every report of a datalist into a file that training joins by id."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from radbundles.components.data.records import RowError, report_sha256, write_records
from radbundles.components.data.section import Item
from radbundles.components.distillation.interface import Distiller
from radbundles.components.distillation.schema import is_valid_output

__all__ = ["distill_datalist", "report_sha256"]


def distill_datalist(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    distiller: Distiller,
    *,
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Distill all reports of a datalist, one record a line in the order of the datalist.

    The file appears under its name only when it is complete. A row that cannot be distilled is written to
    ``<out>.failures.jsonl`` (row, id, reason; never report text) and the others go on. An item without a report gets a
    record with empty text, so that joining by id finds every item. Memory does not grow with the text.

    Args:
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        distiller: the backend.
        progress: called after each row.

    Returns:
        Summary: counts of reports, sentences, certainties and entities, failures, rate.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if the output would overwrite the datalist, or the datalist as a whole cannot be read.
    """
    counts: Counter[str] = Counter()
    certainties: Counter[str] = Counter(present=0, uncertain=0, absent=0)
    by_entity: dict[str, Counter[str]] = {}

    def make(item: Item) -> dict[str, Any]:
        output = _distill(item.get("report", {}), distiller)
        counts["reports" if item.get("report") else "without_report"] += 1
        counts["without_entity"] += bool(item.get("report")) and not output["entities"]
        for entity in output["entities"]:
            certainties[entity["certainty"]] += 1
            by_entity.setdefault(entity["entity"], Counter())[entity["certainty"]] += 1
        return {**output, "backend": distiller.name, "version": distiller.version}

    written = write_records(datalist, out, make, progress=progress)
    return {
        "out": written.out,
        "failures_out": written.failures_out,
        "backend": distiller.name,
        "version": distiller.version,
        "reports": counts["reports"],
        "without_report": counts["without_report"],
        "without_entity": counts["without_entity"],
        "failures": written.failures,
        "sentences": certainties.total(),
        "certainty": dict(certainties),
        "entities": {name: dict(found) for name, found in sorted(by_entity.items())},
        "seconds": round(written.seconds, 3),
        "reports_per_second": round(counts["reports"] / written.seconds, 1) if written.seconds else 0.0,
    }


def _distill(report: dict[str, str], distiller: Distiller) -> dict[str, Any]:
    try:
        output = distiller.distill(report)
    except Exception as error:  # a backend's message may quote the report: only the kind of error is kept
        raise RowError(f"the backend {distiller.name} failed with {type(error).__name__}") from None
    if not is_valid_output(output, report):
        raise RowError(f"the backend {distiller.name} gave a record that breaks distilled.schema.json")
    return output
