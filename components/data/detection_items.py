# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Items for detection: images in which every object of every class is boxed."""

from __future__ import annotations

import difflib
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radbundles.components.data.datalist import load_datalist
from radbundles.components.data.fractions import take_fraction
from radbundles.components.data.mask_source import ABSENT, PRESENT
from radbundles.components.data.section import Item
from radbundles.components.data.source_report import TRAINING
from radbundles.components.data.task_items import TaskItems, different_names

logger = logging.getLogger(__name__)


class _Boxes:
    """Boxes of the run's classes in an item, without the classes that have none."""

    def __init__(self, classes: tuple[str, ...], names: Mapping[str, str]) -> None:
        self.classes = classes
        self.names = dict(names)

    def __call__(self, item: Item) -> Item:
        return {**item, "boxes": {name: boxes for name, boxes in self.of(item, "boxes").items() if boxes}}

    def of(self, item: Item, key: str) -> dict[str, list[Any]]:
        """What boxes or labels of an item say of the classes of which they say anything, in the classes' order."""
        said: dict[str, list[Any]] = {}
        for name, value in item.get(key, {}).items():
            said.setdefault(self.names.get(name, name), []).extend(value if key == "boxes" else [value])
        return {name: said[name] for name in self.classes if name in said}


def load_detection_items(
    datalist: str | os.PathLike[str],
    section: str,
    classes: Sequence[str],
    *,
    dataset_dir: str | os.PathLike[str] | None = None,
    missing: str = "absent",
    names: Mapping[str, str] | None = None,
    fraction: float = 1.0,
    seed: int = 0,
) -> TaskItems:
    """Open one section of a datalist for detection.

    A detector learns as background what is not boxed, and false alarms are counted there, so all classes have to be
    known all over an image. A class is present in an image with its boxes; it is absent where the label of the item is
    0, where its list of boxes is empty, and, with ``missing="absent"``, where nothing is said of it. An image is left
    out in which a class is unknown: its label is -1, or 1 without a box. Images without any box stay, as negatives
    (the official figure skips them, quirk Q37).

    Args:
        datalist: JSON or JSON Lines datalist.
        section: ``training``, ``validation`` or ``test``.
        classes: in the order of the network's classes.
        dataset_dir: folder that image paths are relative to, by default the datalist's.
        missing: what a class is in an image of which neither boxes nor labels say anything of it: ``"absent"``, if the
            readers boxed everything they saw, or ``"unknown"``, which leaves the image out.
        names: names in the datalist that differ from the classes, ``{"left lung": "lung"}``. Several names may become
            one class, whose boxes are then put together.
        fraction: part of the patients, for training; see
            :func:`~radbundles.components.data.fractions.take_fraction`.
        seed: of the fraction.

    Returns:
        The items, with ``boxes`` of these classes only and as ``labels`` a list of 1 where a class has boxes, else 0;
        ``left_out`` counts those that were left out, by reason.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: an argument out of range; a box that is inverted, without area, not finite, or outside of the
            ``size`` of its item; a section without items that count; or (in training) a class without any box.
    """
    known = different_names(classes)
    if missing not in ("absent", "unknown"):
        raise ValueError(f"missing must be 'absent' or 'unknown', not {missing!r}")
    if section != TRAINING and fraction != 1:
        raise ValueError(f"a fraction of {fraction:g} is for training; {section} is always taken whole")
    for name, target in (names or {}).items():
        if target not in known:
            near = difflib.get_close_matches(target, known, 1)
            hint = f"is it {near[0]!r}?" if near else f"classes are {list(known)}"
            raise ValueError(f"names turns {name!r} into {target!r}, which is no class; {hint}")
    annotate = _Boxes(known, names or {})
    where = f"{Path(datalist).name}, section {section!r}"

    items = load_datalist(datalist, section, dataset_dir)
    places: list[int] = []
    rows: list[list[int]] = []
    left_out: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for place, item in enumerate(items):
        others.update(name for name in item.get("boxes", {}) if annotate.names.get(name, name) not in known)
        boxes, said = annotate.of(item, "boxes"), annotate.of(item, "labels")
        _require_valid(where, item, boxes)
        if reason := _unknown(known, boxes, said, missing):
            left_out[reason] += 1
        else:
            places.append(place)
            rows.append([PRESENT if boxes.get(name) else ABSENT for name in known])
    labels = np.array(rows, np.int8).reshape(-1, len(known))
    _require_boxes(where, known, labels, left_out, others, section == TRAINING)
    found = TaskItems(items, labels, known, places=places, annotate=annotate, left_out=left_out)
    if fraction < 1:
        found = take_fraction(found, fraction, seed)
    with_boxes = ", ".join(f"{name} {count}" for name, count in zip(known, found.labels.sum(0, np.int64), strict=True))
    negatives = int((found.labels == ABSENT).all(axis=1).sum())
    logger.info("%s: %d images; with boxes: %s; without any: %d", where, len(found), with_boxes, negatives)
    return found


def _unknown(
    classes: tuple[str, ...], boxes: Mapping[str, list[Any]], said: Mapping[str, list[int]], missing: str
) -> str | None:
    """Why an image does not count, None if all classes are known in it."""
    for name in classes:
        if boxes.get(name):
            continue
        values = said.get(name, [])
        if PRESENT in values:
            return f"{name} is present, but has no boxes"
        if any(value != ABSENT for value in values):
            return f"{name} is unknown"
        if not values and name not in boxes and missing == "unknown":
            return f"nothing is said of {name}"
    return None


def _require_valid(where: str, item: Item, boxes: Mapping[str, list[Any]]) -> None:
    """Refuse boxes from which nothing can be learned, with the id of the item."""
    width, height = item.get("size", (math.inf, math.inf))
    for name, box in ((name, box) for name, all_of_it in boxes.items() for box in all_of_it):
        x0, y0, x1, y1 = box
        if not all(map(math.isfinite, box)):
            fault = "is not of finite numbers"
        elif x0 >= x1 or y0 >= y1:
            fault = "is inverted or has no area"
        elif x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            fault = f"lies outside of the image, {width} x {height} (width x height)"
        else:
            continue
        raise ValueError(
            f"{where}, item {item['id']!r}: the box {box} of {name!r} {fault}. Correct it: x0, y0, x1, y1 in pixels of "
            "the stored image, ends exclusive"
        )


def _require_boxes(
    where: str,
    classes: tuple[str, ...],
    labels: np.ndarray,
    left_out: Counter[str],
    others: Counter[str],
    training: bool,
) -> None:
    """Log what was left out; refuse a section from which nothing can be learned or judged."""
    named = ", ".join(f"{name!r} ({count} images)" for name, count in others.most_common(20))
    have = f"Its items have other boxes of {named or 'nothing'}"
    reasons = ", ".join(f"{reason}: {count}" for reason, count in left_out.most_common())
    mend = "correct classes, map the datalist's names to them by names, or check that the boxes are in the datalist"
    if not len(labels):
        raise ValueError(f"{where}: no image counts ({reasons}). {have}: {mend}")
    if bare := [name for name, count in zip(classes, labels.sum(axis=0, dtype=np.int64), strict=True) if not count]:
        told = f"{where}: no image has a box of {bare}"
        if training:
            raise ValueError(
                f"{told}, of which nothing could be learned; left out: {reasons or 'no image'}. {have}: {mend}"
            )
        logger.warning("%s, so there is no score of %s", told, "it" if len(bare) == 1 else "them")
    if left_out:
        logger.warning("%s: left out %d images: %s", where, left_out.total(), reasons)
    if others:
        logger.info("%s: not used: boxes of %s", where, named)
