# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a distillation job counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

_KINDS = ("reports", "without_report", "without_entity", "failures", "rejected_spans", "rejected_descriptors")


class Census:
    """Counts of rows, sentences and reasons of failure, which can be added up and written to a file.

    Args:
        state: what :meth:`state` gave.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self._rows: Counter[str] = Counter(state.get("rows", {}))
        self._entities = {name: Counter(counts) for name, counts in state.get("entities", {}).items()}
        self._reasons: Counter[str] = Counter(state.get("reasons", {}))

    def add_output(self, output: Mapping[str, Any], *, has_report: bool) -> None:
        """Count the output of a row."""
        self._rows["reports" if has_report else "without_report"] += 1
        self._rows["without_entity"] += has_report and not output["entities"]
        for entity in output["entities"]:
            self._entities.setdefault(entity["entity"], Counter())[entity["certainty"]] += 1

    def add_failure(self, reason: str, rows: int = 1) -> None:
        """Count rows that failed."""
        self._rows["failures"] += rows
        self._reasons[reason] += rows

    def add_rejected(self, *, spans: int, descriptors: int) -> None:
        """Count what was dropped from the replies to a row."""
        self._rows["rejected_spans"] += spans
        self._rows["rejected_descriptors"] += descriptors

    def update(self, other: Census) -> None:
        """Add the counts of another."""
        self._rows.update(other._rows)
        self._reasons.update(other._reasons)
        for name, counts in other._entities.items():
            self._entities.setdefault(name, Counter()).update(counts)

    def state(self) -> dict[str, Any]:
        """All counts, as JSON can hold them."""
        return {"rows": self._rows, "entities": self._entities, "reasons": self._reasons}

    def summary(self) -> dict[str, Any]:
        """All counts, under the names that a user reads."""
        certainties: Counter[str] = Counter(present=0, uncertain=0, absent=0)
        for counts in self._entities.values():
            certainties.update(counts)
        rows = {kind: self._rows[kind] for kind in _KINDS}
        return {
            **rows,
            "failed_reasons": dict(self._reasons.most_common()),
            "sentences": certainties.total(),
            "certainty": dict(certainties),
            "entities": {name: dict(counts) for name, counts in sorted(self._entities.items())},
        }
