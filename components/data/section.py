# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One section of a JSON Lines datalist, read at random."""

from __future__ import annotations

import array
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.context_windows import ContextWindows
from radbundles.components.data.distilled import DistilledText
from radbundles.components.data.labeled_sentences import LabeledSentences
from radbundles.components.data.lines import LineReader, hash64, iter_lines, line_id, parse_json
from radbundles.components.data.schema import SPLITS, item_faults

Item = dict[str, Any]


class EmptySectionError(ValueError):
    """A datalist has no items in the section that was asked for."""

    def __init__(self, path: Path, section: str, counts: dict[str, int]) -> None:
        held = ", ".join(f"{split}: {count}" for split, count in counts.items())
        super().__init__(f"{path} has no items in the section {section!r} ({held})")


class JsonLinesSection(Sequence[Item]):
    """One section of a JSON Lines datalist, read at random through an offset index.

    Args:
        path: the datalist.
        section: the split to show.
        base_dir: folder that image and mask paths are joined to.
        index_ids: hold a 64-bit hash of every id in ``id_hashes``, for joins.
    """

    def __init__(self, path: Path, section: str, *, base_dir: str, index_ids: bool = False) -> None:
        self.section = section
        self.base_dir = base_dir
        self.distilled: DistilledText | None = None
        self.sentences: LabeledSentences | None = None
        self.windows: ContextWindows | None = None
        self._reader = LineReader(path)
        offsets, rows, hashes = array.array("q"), array.array("i"), array.array("Q")
        counts = dict.fromkeys(SPLITS, 0)
        for row, offset, raw in iter_lines(path):
            split = _quick_split(raw) or parse_row(path, row, raw)[0]
            counts[split] += 1
            if split == section:
                offsets.append(offset)
                rows.append(row)
                if index_ids:
                    hashes.append(hash64(line_id(raw) or ""))
        if not offsets:
            raise EmptySectionError(path, section, counts)
        self._offsets: NDArray[np.int64] = np.array(offsets, dtype=np.int64)
        self._rows: NDArray[np.int32] = np.array(rows, dtype=np.int32)
        self.id_hashes: NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._read(place) for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"item {index} of a section of {len(self)} items")
        return self._read(place)

    def _read(self, place: int) -> Item:
        path, row = Path(self._reader.path), int(self._rows[place])
        split, item = parse_row(path, row, self._reader.read(int(self._offsets[place])))
        if split != self.section:
            raise ValueError(f"{path}, row {row}: 'split' is stated more than once")
        require_valid(path, row, item)
        item = join_paths(item, self.base_dir)
        if self.distilled is not None:
            item["distilled"] = self.distilled[item["id"]]
        if self.sentences is not None:
            self.sentences.join(item)
        if self.windows is not None:
            self.windows.join(item)
        return item

    def keep(self, places: NDArray[np.int64]) -> None:
        """Leave out all items but those at some places, of a section whose ids are indexed."""
        self._offsets, self._rows = self._offsets[places], self._rows[places]
        self.id_hashes = self.id_hashes[places]


def _quick_split(raw: bytes) -> str | None:
    """Split of a line without parsing it, None when it cannot be told for sure."""
    # Quotes inside a JSON text are escaped, so this is a key or a value of its own; with two of them, parse.
    place = raw.find(b'"split"')
    if place < 0 or raw.find(b'"split"', place + 7) >= 0:
        return None
    rest = raw[place + 7 : place + 40].lstrip().removeprefix(b":").lstrip()
    return next((split for split in SPLITS if rest.startswith(f'"{split}"'.encode())), None)


def parse_row(path: Path, row: int, raw: bytes) -> tuple[str, Item]:
    """Split and item of one line; ValueError naming the row."""
    try:
        item = parse_json(raw)
    except ValueError as error:
        raise ValueError(f"{path}, row {row} is not JSON: {error}") from None
    if not isinstance(item, dict):
        raise ValueError(f"{path}, row {row}: an item must be a JSON object, not {type(item).__name__}")
    split = item.pop("split", None)
    if split not in SPLITS:
        raise ValueError(f"{path}, row {row}: 'split' must be one of {', '.join(SPLITS)}, not {split!r}")
    return split, item


def require_valid(path: Path, row: int, item: object) -> None:
    """Refuse an item against the contract with a ValueError naming row, id and field."""
    faults = item_faults(item, row)
    if faults:
        more = f" ({len(faults) - 1} more in this row)" if len(faults) > 1 else ""
        raise ValueError(f"{path}, {faults[0]}{more}")


def join_paths(item: Item, base: str) -> Item:
    """The item with its image and masks joined to a folder; absolute paths stay."""
    joined = {**item, "image": os.path.join(base, item["image"])}
    if "masks" in item:
        joined["masks"] = {name: os.path.join(base, mask) for name, mask in item["masks"].items()}
    return joined
