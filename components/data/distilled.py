# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distilled report text, joined to items by id."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.lines import IdIndex, existing

_SHOWN = 5


class DistilledText:
    """Text of a distilled file by item id, read when asked for.

    Args:
        path: JSON Lines file of ``radbundles distill``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = existing(path)
        self._index = IdIndex(self._path)

    def require(self, hashes: NDArray[np.uint64], id_of: Callable[[int], str]) -> None:
        """Make sure that every item has a text.

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
                f"{self._path} has no text for {len(missing)} of {len(hashes)} items (first ids: {first}); "
                "run radbundles distill on this datalist"
            )

    def __getitem__(self, name: str) -> str:
        found = self._index.find(name)
        text = None if found is None else found.get("text")
        if not isinstance(text, str):
            raise ValueError(f"{self._path} has no 'text' for id {name!r}; run radbundles distill on this datalist")
        return text
