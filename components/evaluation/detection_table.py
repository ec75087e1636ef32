# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Detections and true boxes of all images: the table from which every detection result can be computed again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.classification_table import hashed_id
from radbundles.components.evaluation.protocol import Facts
from radbundles.components.metrics.detection_matches import ImageBoxes
from radbundles.components.metrics.detection_rows import check_boxes

__all__ = ["DetectionTable"]


@dataclass(frozen=True)
class DetectionTable:
    """What a detector found in N images, and what is there, in pixels of the stored images.

    Every class is known in every image: one without true boxes is negative.

    Args:
        classes: names of the K classes.
        ids: of the images, each once.
        clusters: running number of the patient of each.
        images: detections and true boxes of each.
        groups: value of each image in each column, e.g. ``{"sex": "F"}``; the same columns in all.

    Raises:
        ValueError: lengths that do not fit, an id or a class twice, or boxes that do not fit together; names the image.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    clusters: NDArray[np.intp]
    images: tuple[ImageBoxes, ...]
    groups: tuple[Mapping[str, str], ...]
    suffix = ".jsonl"

    def __post_init__(self) -> None:
        if not len(self.clusters) == len(self.groups) == len(self.images) == len(self.ids):
            raise ValueError(
                f"{len(self.ids)} ids, {len(self.clusters)} clusters, {len(self.images)} images and "
                f"{len(self.groups)} groups"
            )
        for names, what in ((self.ids, "id"), (self.classes, "class")):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{what} {twice!r} occurs twice")
        for id, image in zip(self.ids, self.images, strict=True):
            try:
                check_boxes(image, len(self.classes))
            except ValueError as error:
                raise ValueError(f"id {id!r}: {error}") from None

    @classmethod
    def of(
        cls, rows: Mapping[str, ImageBoxes], classes: tuple[str, ...], facts: Mapping[str, Facts] | None = None
    ) -> DetectionTable:
        """Put rows together with what is known of them; without facts each image is a patient of its own."""
        known = {id: Facts(number) for number, id in enumerate(rows)} if facts is None else facts
        return cls(
            classes=classes,
            ids=tuple(rows),
            clusters=np.array([known[id].cluster for id in rows], dtype=np.intp),
            images=tuple(rows.values()),
            groups=tuple(known[id].groups for id in rows),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(set(self.clusters.tolist()))

    def hashed(self, salt: str) -> DetectionTable:
        """The same rows in the same order, so that intervals stay what they are, with ids that are safe to publish."""
        return replace(self, ids=tuple(hashed_id(id, salt) for id in self.ids))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write JSON Lines: the classes, then a line an image.

        A line has ``id``, ``patient`` (numbered anew in the order of the rows), ``groups``, ``truths``
        (``[{"class", "box"}]``) and ``found`` (``[{"class", "score", "box"}]``). Reading the file gives back the same
        numbers.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers: dict[int, int] = {}
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps({"classes": self.classes}, ensure_ascii=False) + "\n")
            for row, (id, image) in enumerate(zip(self.ids, self.images, strict=True)):
                truths = zip(image.truth_classes.tolist(), image.truths.tolist(), strict=True)
                found = zip(image.classes.tolist(), image.scores.tolist(), image.boxes.tolist(), strict=True)
                line = {
                    "id": id,
                    "patient": numbers.setdefault(int(self.clusters[row]), len(numbers)),
                    "groups": dict(self.groups[row]),
                    "truths": [{"class": self.classes[number], "box": box} for number, box in truths],
                    "found": [
                        {"class": self.classes[number], "score": score, "box": box} for number, score, box in found
                    ],
                }
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        os.replace(partial, path)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> DetectionTable:
        """Read what :meth:`write` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a line is none of such a table; names file and line.
        """
        rows: dict[str, ImageBoxes] = {}
        facts: dict[str, Facts] = {}
        classes: tuple[str, ...] = ()
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = json.loads(text)
                    if number == 1:
                        classes = tuple(line["classes"])
                        continue
                    if line["id"] in rows:
                        raise ValueError(f"id {line['id']!r} occurs twice")
                    rows[line["id"]] = _image(line, classes)
                    facts[line["id"]] = Facts(line["patient"], line["groups"])
                except (ValueError, TypeError, KeyError) as error:
                    reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                    raise ValueError(f"{path}, line {number} is none of a table of detections: {reason}") from None
        if not classes:
            raise ValueError(f"{path} is no table of detections: it names no classes")
        return cls.of(rows, classes, facts)


def _image(line: Mapping[str, Any], classes: tuple[str, ...]) -> ImageBoxes:
    def column(key: str, name: str) -> list[Any]:
        return [entry[name] for entry in line[key]]

    def numbers(key: str) -> NDArray[np.intp]:
        return np.array([classes.index(name) for name in column(key, "class")], dtype=np.intp)

    return ImageBoxes(
        boxes=np.array(column("found", "box"), dtype=np.float64).reshape(-1, 4),
        scores=np.array(column("found", "score"), dtype=np.float64),
        classes=numbers("found"),
        truths=np.array(column("truths", "box"), dtype=np.float64).reshape(-1, 4),
        truth_classes=numbers("truths"),
    )
