# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Context windows of ECAMP, joined to items by id."""

from __future__ import annotations

import os
from typing import Any

from radbundles.components.data.fault import shorten
from radbundles.components.data.joined import JoinedRecords

_CELLS = (0, 1, 2)  # where 12 of 14 cells can begin


class ContextWindows(JoinedRecords):
    """Windows of a window file by item id, read when asked for.

    Args:
        path: JSON Lines file of ``radbundles windows``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, what="context window", command="radbundles windows")

    def join(self, item: dict[str, Any]) -> None:
        """Put the window into an item, in the place of one it has; without one the middle counts."""
        record = self._record(item["id"])
        if "window" not in record:
            raise self._fault(item["id"], "window")
        window = record["window"]
        item.pop("window", None)
        if window is None:
            return
        if not isinstance(window, list) or len(window) != 2 or any(cell not in _CELLS for cell in window):
            raise ValueError(
                f"{self.path}: the window of id {item['id']!r} must be [row, column] of whole numbers 0 to "
                f"{_CELLS[-1]}, or null, not {shorten(window)}"
            )
        item["window"] = window
