# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of sentences from the table that CheXbert writes."""

from __future__ import annotations

import array
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.table import Table
from radbundles.components.data.lines import hash64
from radbundles.transforms.label_table import LabelTable

_TEXT = "Report Impression"
_BLANK = 2
_VALUES = {"": _BLANK, "1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1}


class ChexbertLabels:
    """Look up the labels of a sentence in a CheXbert table, with 8 bytes a sentence and one for each class in memory.

    Source: DCXFM (official sentence dictionary); CheXbert writes 1 present, 0 absent, -1 uncertain and a blank for
    what a sentence does not mention.

    Args:
        path: CSV file with a column ``Report Impression`` of sentences and columns of labels; a sentence that comes
            again is passed over.
        table: the classes; columns of other names are ignored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks the column of sentences or has none of the classes, or a cell is no label; names row
            and column.
    """

    name = "chexbert"

    def __init__(self, path: str | os.PathLike[str], table: LabelTable) -> None:
        source = Table(Path(path))
        source.require(_TEXT)
        columns = {name: table.index(name) for name in source.columns if name != _TEXT}
        self._columns = [name for name, place in columns.items() if place is not None]
        if not self._columns:
            raise ValueError(f"{source.path} has no column of the label table {table.name!r}")
        self._names = [table.names[place] for place in columns.values() if place is not None]
        self.version = source.path.name
        hashes, labels = array.array("Q"), array.array("b")
        for row, cells in source:
            if isinstance(cells, Fault):
                raise ValueError(f"{source.path}, row {row}: {cells.message}")
            hashes.append(hash64(_key(cells[_TEXT])))
            for column in self._columns:
                if cells[column] not in _VALUES:
                    raise ValueError(f"{source.path}, row {row}: {column} is no CheXbert label (1, 0, -1, blank)")
                labels.append(_VALUES[cells[column]])
        found = np.array(hashes, dtype=np.uint64)
        self._hashes, first = np.unique(found, return_index=True)
        self._labels: NDArray[np.int8] = np.array(labels, dtype=np.int8).reshape(-1, len(self._columns))[first]

    def __len__(self) -> int:
        """Return the number of different sentences."""
        return len(self._hashes)

    def __call__(self, sentence: str) -> dict[str, int] | None:
        """Return name -> 1, 0 or -1 (uncertain) of the classes that are mentioned, None for an unlisted sentence."""
        wanted = np.uint64(hash64(_key(sentence)))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        row = self._labels[place].tolist()
        return {name: value for name, value in zip(self._names, row, strict=True) if value != _BLANK}


def _key(sentence: str) -> str:
    # Whether a sentence ends with its full stop depends on where in a section it stood.
    return " ".join(sentence.lower().split()).rstrip(" .")
