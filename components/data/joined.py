# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Records that a job wrote for the items of a datalist, joined to them by id."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.lines import IdIndex, existing

_SHOWN = 5


class JoinedRecords:
    """Records by item id, read when asked for.

    Args:
        path: JSON Lines file.
        what: what an item lacks that has no record, for messages.
        command: the command that writes such a file, for messages.
    """

    def __init__(self, path: str | os.PathLike[str], *, what: str, command: str) -> None:
        self.path = existing(path)
        self._what = what
        self._mend = f"run {command} on this datalist"
        self._index = IdIndex(self.path)

    def require(self, hashes: NDArray[np.uint64], id_of: Callable[[int], str]) -> None:
        """Make sure that every item has a record.

        Args:
            hashes: 64-bit hashes of the ids of all items.
            id_of: function from a place in ``hashes`` to the id, for the message.

        Raises:
            ValueError: some have none.
        """
        missing = np.flatnonzero(~np.isin(hashes, self._index.hashes))
        if len(missing):
            first = ", ".join(repr(id_of(int(place))) for place in missing[:_SHOWN])
            raise ValueError(
                f"{self.path} has no {self._what} for {len(missing)} of {len(hashes)} items (first ids: {first}); "
                f"{self._mend}"
            )

    def _record(self, name: str) -> dict[str, Any]:
        return self._index.find(name) or {}

    def _fault(self, name: str, key: str) -> ValueError:
        return ValueError(f"{self.path} has no {key!r} for id {name!r}; {self._mend}")
