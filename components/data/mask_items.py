# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of several sources, each of which annotates some of the classes, as one list of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.datalist import load_datalist
from radbundles.components.data.mask_source import UNKNOWN, MaskSource
from radbundles.components.data.section import EmptySectionError, Item
from radbundles.components.data.source_report import TRAINING, SourceReport, leave_out

_DECIDED = ("masks", "boxes", "labels")  # what targets and labels of the run take the place of


@dataclass(frozen=True)
class _Part:
    """A section of a source's datalist, the places of the items that count, and their labels [items, classes]."""

    source: MaskSource
    items: Sequence[Item]
    places: NDArray[np.int32]
    labels: NDArray[np.int8]


class MaskItems(Sequence[Item]):
    """Items of several sources, one source behind the other; made by :func:`load_mask_sources`.

    An item is that of the datalist without ``masks``, ``boxes`` and ``labels``, and with

    - ``source``: name of the source;
    - ``targets``: ``{class: {"masks": [path], "boxes": [[x0, y0, x1, y1]]}}`` of the classes that have a place;
    - ``labels``: a list over all classes of 1 present, 0 absent, -1 unknown.

    It is read from its datalist when asked for, so that of a JSON Lines datalist little is held in memory.

    Attributes:
        classes: of the run.
        labels: int8 [items, classes], the same for all items.
        counts: number of items of each source that takes part, in their order.
        weights: share of each of them in the batches, relative to the others.
        report: :class:`SourceReport` of each of them.
    """

    def __init__(self, parts: Sequence[_Part], classes: Sequence[str], report: dict[str, SourceReport]) -> None:
        self.classes = tuple(classes)
        self.labels: NDArray[np.int8] = np.concatenate([part.labels for part in parts])
        self.counts = {name: source.images for name, source in report.items()}
        self.weights = {part.source.name: float(part.source.weight) for part in parts}
        self.report = report
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(len(part.places) for part in parts)])

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        part = self._parts[number]
        item = part.items[int(part.places[place - self._starts[number]])]
        kept = {key: value for key, value in item.items() if key not in _DECIDED}
        targets = part.source.annotate(item)[0]
        return {**kept, "source": part.source.name, "targets": targets, "labels": self.labels[place].tolist()}


def load_mask_sources(
    sources: Sequence[MaskSource | Mapping[str, Any]], section: str, classes: Sequence[str]
) -> MaskItems:
    """Open one section of several sources of masks for a dataset such as ``monai.data.CacheDataset``.

    Each class keeps its name from the datalist to the batch (the official code paired masks and classes by their
    order, quirk Q29). Items of which nothing is known are left out; so are masks and boxes under a name that is no
    class of their source, which the log tells once for each source. The log also warns of a class of which a source
    has no mask although it annotates it, since all its images then teach that the class is absent.

    Args:
        sources: the sources, or entries of a config with the arguments of
            :class:`~radbundles.components.data.MaskSource`.
        section: ``training``, ``validation`` or ``test``.
        classes: the classes of the run, in the order of the targets' channels.

    Returns:
        Sequence of items. It can be pickled and is safe in threads and worker processes.

    Raises:
        FileNotFoundError: a datalist is missing.
        ValueError: a source is declared wrongly, annotates a class that is none of the run, has no items in the
            section, or (in training) no mask at all; or a class that no source annotates.
    """
    known = [MaskSource.of(source) for source in sources]
    if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes must be a list of different names, not {classes!r}")
    _require_fit(known, section, classes)
    parts: list[_Part] = []
    report: dict[str, SourceReport] = {}
    opened = cache(load_datalist)  # sources may share a datalist
    for source in known:
        if source.parts(section):
            report[source.name] = SourceReport()
            parts += _read(source, section, classes, report[source.name], opened)
    if not parts:
        raise ValueError(f"no source has a part in the section {section!r}: see their sections")
    return MaskItems(parts, classes, report)


def _require_fit(sources: Sequence[MaskSource], section: str, classes: Sequence[str]) -> None:
    """Refuse sources that do not fit the classes of the run."""
    names = Counter(source.name for source in sources)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"two sources are named {twice[0]!r}: give each a name of its own")
    for source in sources:
        if foreign := [name for name in source.classes if name not in classes]:
            raise ValueError(
                f"source {source.name!r} annotates {foreign}, which the run's classes {list(classes)} do not have. "
                "Add them to the run, take them from the source, or map the datalist's name to one of them by names"
            )
    # A source may leave validation or test to others, but nothing is learned of a class without annotation.
    annotated = {name for source in sources if section != TRAINING or source.parts(section) for name in source.classes}
    if orphans := [name for name in classes if name not in annotated]:
        raise ValueError(
            f"no source annotates {orphans} in the section {section!r}. Add them to the classes of a source whose "
            "readers searched for them, or take them from the classes of the run"
        )


def _read(
    source: MaskSource,
    section: str,
    classes: Sequence[str],
    report: SourceReport,
    load: Callable[..., Sequence[Item]],
) -> list[_Part]:
    """Judge all items of a source."""
    parts: list[_Part] = []
    others: set[str] = set()
    for split in source.parts(section):
        try:
            items = load(source.datalist, split, source.dataset_dir)
        except EmptySectionError as error:
            raise ValueError(f"source {source.name!r}: {error}; {leave_out(section)}") from None
        places: list[int] = []
        rows: list[list[int]] = []
        for place, item in enumerate(items):
            if source.only is not None and item.get("source") not in source.only:
                others.add(str(item.get("source")))
                continue
            labels = source.annotate(item)[1]
            if report.add(source, item, labels):
                places.append(place)
                rows.append([labels.get(name, UNKNOWN) for name in classes])
        table = np.array(rows, np.int8).reshape(-1, len(classes))
        parts.append(_Part(source, items, np.array(places, np.int32), table))
    if others and not report.images and not report.nothing_known:
        raise ValueError(
            f"source {source.name!r} has no items whose 'source' is one of {list(source.only or ())} in the section "
            f"{section!r}, only of {sorted(others)}. Correct only, or {leave_out(section)}"
        )
    report.judge(source, section)
    return parts
