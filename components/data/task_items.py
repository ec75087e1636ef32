# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Items of a datalist with what is known of each class, as a downstream task reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radbundles.components.data.section import Item

ALL = "all"


class TaskItems(Sequence[Item]):
    """Items of one section of a datalist, and one label of 1 present, 0 absent, -1 unknown for each class.

    An item keeps its fields (id, patient, sex, ...), but ``labels`` is a list over the classes. It is read from its
    datalist when asked for, so that of a JSON Lines datalist little is held in memory. It can be pickled and is safe in
    threads and worker processes if what it is made of is.

    Args:
        items: the section, such as :func:`~radbundles.components.data.load_datalist` opens it.
        labels: [N, classes] of the items that count.
        classes: names, in the order of the labels.
        places: [N], where these items stand in ``items``; by default all of them, in order.
        annotate: what else the task makes of an item, such as targets; a function that can be pickled.
        left_out: how many items do not count, by reason.

    Attributes:
        classes: names.
        labels: int8 [N, classes].
        counts: number of items of each stratum, which lie one behind the other; of all of them, ``{"all": N}``, unless
            they are those of :meth:`by_stratum`. Both are what
            :class:`~radbundles.components.data.MixedSampler` takes.
        weights: share of each stratum in the batches.
        left_out: how many items do not count, by reason.

    Raises:
        ValueError: classes are not a list of different names, or the numbers of classes, labels and places differ.
    """

    def __init__(
        self,
        items: Sequence[Item],
        labels: ArrayLike,
        classes: Sequence[str],
        *,
        places: ArrayLike | None = None,
        annotate: Callable[[Item], Item] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.classes = different_names(classes)
        self.labels: NDArray[np.int8] = np.asarray(labels, np.int8).reshape(-1, len(self.classes))
        self._items = items
        self._places: NDArray[np.int64] = np.asarray(np.arange(len(items)) if places is None else places, np.int64)
        self._annotate = annotate
        self.left_out: Counter[str] = Counter(left_out or {})
        if self._places.shape != (len(self.labels),):
            raise ValueError(f"{self._places.size} items, but labels of {len(self.labels)}")
        self.counts = {ALL: len(self)}
        self.weights = {ALL: 1.0}

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
        item = self._items[int(self._places[place])]
        if self._annotate is not None:
            item = self._annotate(item)
        return {**item, "labels": self.labels[place].tolist()}

    def subset(self, places: ArrayLike) -> TaskItems:
        """The items at some places, in that order."""
        chosen = np.asarray(places, np.int64)
        return TaskItems(
            self._items,
            self.labels[chosen],
            self.classes,
            places=self._places[chosen],
            annotate=self._annotate,
            left_out=self.left_out,
        )

    def strata(self) -> NDArray[np.int64]:
        """Number of the rarest class that is present in each item, counted in these items; -1 where none is: [N]."""
        return rarest_class(self.labels == 1, (self.labels == 1).sum(axis=0))

    def by_stratum(self) -> TaskItems:
        """The items ordered by stratum, that of no class last, with counts and even weights."""
        strata = self.strata()
        order = np.where(strata < 0, len(self.classes), strata)
        ordered = self.subset(np.argsort(order, kind="stable"))
        rest = "none"
        while rest in self.classes:
            rest = f"({rest})"
        counts = np.bincount(order, minlength=len(self.classes) + 1).tolist()
        ordered.counts = {name: n for name, n in zip((*self.classes, rest), counts, strict=True) if n}
        ordered.weights = dict.fromkeys(ordered.counts, 1.0)
        return ordered


def rarest_class(present: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the class of least count among those present in each row, the first of equals; -1 for none: [N]."""
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    rarest = np.where(present, rank, len(counts)).argmin(axis=1)
    return np.where(present.any(axis=1), rarest, -1)


def different_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes as a tuple; ValueError unless they are a list of different names."""
    if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes must be a list of different names, not {classes!r}")
    return tuple(classes)
