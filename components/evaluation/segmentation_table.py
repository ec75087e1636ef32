# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks of all images and classes: the table from which every segmentation result can be computed again."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.classification_table import hashed_id
from radbundles.components.evaluation.protocol import Facts
from radbundles.components.evaluation.segmentation_rows import MaskRow
from radbundles.components.metrics.segmentation import OVERLAP_SCORES, overlap_scores

__all__ = ["SCORES", "SegmentationTable"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_COUNTS = ("pixels", "truth", "predicted", "overlap")
_DISTANCES = ("hausdorff95", "hausdorff95_mm")
SCORES = (*OVERLAP_SCORES[:2], *_DISTANCES, *OVERLAP_SCORES[2:])  # those that a page shows on top come first
_HEADS = ("id", "patient", "class", *_COUNTS, *SCORES, "histogram")


@dataclass(frozen=True)
class SegmentationTable:
    """One row for each class that is known in an image, N in all.

    Args:
        classes: names of the K classes.
        ids: of the image of each row.
        clusters: [N] running number of its patient.
        places: [N] number of the class.
        counts: [N, 4] pixels of the image, of the true mask, of the predicted one, and of both.
        distances: [N, 2] 95th percentile Hausdorff distance in pixels and in mm; nan where not defined or not known.
        histograms: of each row, counts of logits as
            :func:`~radbundles.components.metrics.segmentation_histogram.logit_histogram` gives them.
        groups: of each row, the value of its image in each column, e.g. ``{"sex": "F"}``; the same columns in all.

    Raises:
        ValueError: lengths that differ, a class or a pair of image and class twice, or counts that cannot be.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    clusters: Ints
    places: Ints
    counts: Ints
    distances: Floats
    histograms: tuple[Ints, ...]
    groups: tuple[Mapping[str, str], ...]
    suffix = ".csv"

    def __post_init__(self) -> None:
        N = len(self.ids)
        parts = (self.clusters, self.places, self.counts, self.distances, self.histograms, self.groups)
        if any(len(part) != N for part in parts) or self.counts.shape != (N, 4) or self.distances.shape != (N, 2):
            raise ValueError(f"{N} ids, but other numbers of rows: {[len(part) for part in parts]}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be different names, got {list(self.classes)}")
        if N and not (0 <= self.places.min() and self.places.max() < len(self.classes)):
            raise ValueError(f"places must be numbers of the {len(self.classes)} classes")
        seen: set[tuple[str, int]] = set()
        for key in zip(self.ids, self.places.tolist(), strict=True):
            if key in seen:
                raise ValueError(f"id {key[0]!r}: the class {self.classes[key[1]]} occurs twice")
            seen.add(key)
        pixels, truth, predicted, overlap = self.counts.T
        wrong = (overlap < 0) | (overlap > np.minimum(truth, predicted)) | (truth + predicted - overlap > pixels)
        wrong |= pixels < 1
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"id {self.ids[row]!r}: no masks have the counts {self.counts[row].tolist()}")

    @classmethod
    def of(
        cls, rows: Mapping[str, Sequence[MaskRow]], facts: Mapping[str, Facts], classes: Sequence[str]
    ) -> SegmentationTable:
        """Make the table of judged images.

        Args:
            rows: of each image by id.
            facts: patient and groups of each image by id.
            classes: names of the classes.

        Raises:
            ValueError: an image without facts.
        """
        lacking = [id for id in rows if id not in facts]
        if lacking:
            raise ValueError(f"nothing is known of {len(lacking)} images, e.g. id {lacking[0]!r}: give their items")
        flat = [(id, row) for id, image in rows.items() for row in image]
        counts = [(row.pixels, row.truth, row.predicted, row.overlap) for _, row in flat]
        distances = [(row.distance, row.distance_mm) for _, row in flat]
        return cls(
            classes=tuple(classes),
            ids=tuple(id for id, _ in flat),
            clusters=np.array([facts[id].cluster for id, _ in flat], np.int64),
            places=np.array([row.place for _, row in flat], np.int64),
            counts=np.array(counts, np.int64).reshape(-1, 4),
            distances=np.array(distances, np.float64).reshape(-1, 2),
            histograms=tuple(row.histogram for _, row in flat),
            groups=tuple(facts[id].groups for id, _ in flat),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Scores [N] under the names of ``SCORES``; nan where one is not defined.

        ``hausdorff95`` and ``hausdorff95_mm``, and those of
        :func:`~radbundles.components.metrics.segmentation.overlap_scores`.
        """
        found = overlap_scores(*self.counts.T) | dict(zip(_DISTANCES, self.distances.T, strict=True))
        return {name: found[name] for name in SCORES}

    @property
    def present(self) -> NDArray[np.bool_]:
        """Bool [N]: the class has a place in the image."""
        return np.asarray(self.counts[:, 1] > 0)

    @cached_property
    def entries(self) -> tuple[Ints, Ints]:
        """All histograms one below the other: number of the row [n], and bin, pixels outside and inside [n, 3]."""
        lengths = [len(histogram) for histogram in self.histograms]
        stacked = np.concatenate([np.empty((0, 3), np.int64), *self.histograms])
        return np.repeat(np.arange(len(self)), lengths), stacked

    def take(self, rows: NDArray[np.intp]) -> SegmentationTable:
        """The table of some rows."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            clusters=self.clusters[rows],
            places=self.places[rows],
            counts=self.counts[rows],
            distances=self.distances[rows],
            histograms=tuple(self.histograms[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
        )

    def hashed(self, salt: str) -> SegmentationTable:
        """The same rows in the same order, with ids that nobody can tell without the salt."""
        return replace(self, ids=tuple(hashed_id(id, salt) for id in self.ids))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one line a row: ``id, patient`` (a running number), ``class``, counts, scores, ``histogram``, groups.

        The histogram is ``bin:outside:inside`` for each bin that has pixels, see
        :mod:`radbundles.components.metrics.segmentation_histogram`. A score that is not defined is an empty cell.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(self.groups[0]) if self.groups else []
        numbers: dict[int, int] = {}
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        values = np.stack(list(self.scores.values()), axis=1)
        with open(partial, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*_HEADS, *(f"group {column}" for column in columns)])
            for row, id in enumerate(self.ids):
                patient = numbers.setdefault(int(self.clusters[row]), len(numbers))
                scores = ["" if np.isnan(value) else f"{value:.9g}" for value in values[row]]
                bins = " ".join("{}:{}:{}".format(*entry) for entry in self.histograms[row].tolist())
                groups = [self.groups[row][column] for column in columns]
                name = self.classes[self.places[row]]
                writer.writerow([id, patient, name, *self.counts[row].tolist(), *scores, bins, *groups])
        os.replace(partial, path)

    @classmethod
    def read(cls, path: str | os.PathLike[str], classes: Sequence[str] | None = None) -> SegmentationTable:
        """Read what :meth:`write` wrote. Overlap scores are computed anew from the counts.

        Args:
            path: the file.
            classes: their names and order; by default as they first occur.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a column is missing, a class is none of them, or a cell is no number; names file and row.
        """
        with open(path, encoding="utf-8", newline="") as file:
            heads, *rows = list(csv.reader(file)) or [[]]
        columns = [head.removeprefix("group ") for head in heads if head.startswith("group ")]
        if heads != [*_HEADS, *(f"group {column}" for column in columns)]:
            raise ValueError(f"{path} is no table of masks: its columns are {', '.join(heads) or 'missing'}")
        names = tuple(dict.fromkeys(row[2] for row in rows) if classes is None else classes)
        parsed = []
        for line, row in enumerate(rows, start=2):
            try:
                parsed.append(_parse(row, names))
            except ValueError as error:
                raise ValueError(f"{path}, row {line}: {error}") from None
        return cls(
            classes=names,
            ids=tuple(row[0] for row in rows),
            clusters=np.array([part[0][0] for part in parsed], np.int64),
            places=np.array([part[0][1] for part in parsed], np.int64),
            counts=np.array([part[0][2:] for part in parsed], np.int64).reshape(-1, 4),
            distances=np.array([part[1] for part in parsed], np.float64).reshape(-1, 2),
            histograms=tuple(part[2] for part in parsed),
            groups=tuple(dict(zip(columns, row[len(_HEADS) :], strict=True)) for row in rows),
        )


def _parse(row: Sequence[str], classes: tuple[str, ...]) -> tuple[list[int], list[float], Ints]:
    """Whole numbers (patient, class, counts), distances, and the histogram of one line."""
    if row[2] not in classes:
        raise ValueError(f"{row[2]!r} is none of the classes {', '.join(classes)}")
    whole = [int(row[1]), classes.index(row[2]), *map(int, row[3:7])]
    places = [_HEADS.index(name) for name in _DISTANCES]
    distances = [float(row[place]) if row[place] else np.nan for place in places]
    histogram = [int(number) for number in row[len(_HEADS) - 1].replace(":", " ").split()]
    return whole, distances, np.array(histogram, np.int64).reshape(-1, 3)
