# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which request meets which fault: drawn from the report, so that a second run meets the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """Which share of the reports meets which fault; a report meets at most one of each of the two kinds.

    Transport, for the first one or two requests about a report: ``slow``, ``too_many`` (429), ``error`` (500),
    ``dropped`` (connection closed in the middle of the body). Content, for the first turn of a conversation:
    ``truncated`` JSON, ``wrong_shape``, ``hallucinated`` quote; ``permanent`` is one of the first two at every turn.
    """

    seed: int = 0
    slow: float = 0.1
    too_many: float = 0.1
    error: float = 0.1
    dropped: float = 0.1
    truncated: float = 0.05
    wrong_shape: float = 0.05
    hallucinated: float = 0.05
    permanent: float = 0.02

    def transport(self, key: str, earlier: int) -> str | None:
        """The fault of the request about the report ``key`` after ``earlier`` ones."""
        name = self._draw(key, "transport", ("slow", "too_many", "error", "dropped"))
        return name if earlier < 1 + self._number(key, "times") % 2 else None

    def content(self, key: str, first_turn: bool) -> str | None:
        """The fault of the reply about the report ``key``."""
        name = self._draw(key, "content", ("permanent", "truncated", "wrong_shape", "hallucinated"))
        if name == "permanent":
            return ("truncated", "wrong_shape")[self._number(key, "kind") % 2]
        return name if first_turn else None

    def _draw(self, key: str, what: str, names: Sequence[str]) -> str | None:
        point = self._number(key, what) / 2**64
        for name in names:
            point -= getattr(self, name)
            if point < 0:
                return name
        return None

    def _number(self, key: str, what: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed} {what} {key}".encode()).digest()[:8], "big")


NO_FAULTS = Faults(slow=0, too_many=0, error=0, dropped=0, truncated=0, wrong_shape=0, hallucinated=0, permanent=0)
