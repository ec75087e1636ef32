# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Labeled sentences of reports, joined to items by id."""

from __future__ import annotations

import array
import logging
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.joined import JoinedRecords
from radbundles.components.data.lines import hash64, iter_lines, line_id

logger = logging.getLogger(__name__)

# Quotes inside a JSON text are escaped, so this is a key of its own.
_EMPTY = re.compile(rb'"sentences"\s*:\s*\[\s*\]')


class LabeledSentences(JoinedRecords):
    """Sentences and labels of a sentence file by item id, read when asked for.

    Args:
        path: JSON Lines file of ``radbundles sentences``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, what="sentences", command="radbundles sentences")
        hashes = array.array("Q")
        for _, _, raw in iter_lines(self.path):
            if _EMPTY.search(raw):
                hashes.append(hash64(line_id(raw) or ""))
        self._empty: NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)

    def said(self, hashes: NDArray[np.uint64], id_of: Callable[[int], str]) -> NDArray[np.int64]:
        """Return the places of the items that have a sentence; how many have none is logged.

        Args:
            hashes: 64-bit hashes of the ids of all items.
            id_of: function from a place in ``hashes`` to the id, for the message.

        Raises:
            ValueError: an item has no record, or no item has a sentence.
        """
        self.require(hashes, id_of)
        places = np.flatnonzero(~np.isin(hashes, self._empty))
        if not len(places):
            raise ValueError(f"none of the {len(hashes)} items has a sentence in {self.path}")
        if silent := len(hashes) - len(places):
            logger.warning("%d of %d items have no sentence in %s and are left out", silent, len(hashes), self.path)
        return places

    def join(self, item: dict[str, Any]) -> None:
        """Put sentences and labels into an item."""
        record = self._record(item["id"])
        for key, kind in (("sentences", list), ("labels", dict)):
            if not isinstance(record.get(key), kind):
                raise self._fault(item["id"], key)
            item[key] = record[key]
