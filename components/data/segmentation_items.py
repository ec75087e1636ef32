# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Items for segmentation: the masks of each class of a datalist, and where a class is known to be absent."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from radbundles.components.data.datalist import load_datalist
from radbundles.components.data.fractions import take_fraction
from radbundles.components.data.mask_source import UNKNOWN, MaskSource
from radbundles.components.data.section import Item
from radbundles.components.data.source_report import TRAINING, SourceReport
from radbundles.components.data.task_items import TaskItems, different_names

logger = logging.getLogger(__name__)
_DECIDED = ("masks", "boxes", "labels")  # what targets and labels of the task take the place of


class _Targets:
    """What a source of masks makes of an item."""

    def __init__(self, source: MaskSource) -> None:
        self.source = source

    def __call__(self, item: Item) -> Item:
        kept = {key: value for key, value in item.items() if key not in _DECIDED}
        return {**kept, "targets": self.source.annotate(item)[0]}


def load_segmentation_items(
    datalist: str | os.PathLike[str],
    section: str,
    classes: Sequence[str],
    *,
    dataset_dir: str | os.PathLike[str] | None = None,
    missing: str = "absent",
    boxes: bool = False,
    names: Mapping[str, str] | None = None,
    fraction: float = 1.0,
    seed: int = 0,
) -> TaskItems:
    """Open one section of a datalist for segmentation.

    What is known of a class in an image is decided as by :class:`~radbundles.components.data.MaskSource`. An item has
    no masks, boxes and labels of its own, but what :class:`~radbundles.transforms.LoadTargetsd` takes: ``targets``,
    ``{class: {"masks": [path], "boxes": [[x0, y0, x1, y1]]}}`` of the classes that have a place, and ``labels``, a list
    of 1 present, 0 absent, -1 unknown. Items of which nothing is known are left out. For several datalists in one run
    see :func:`~radbundles.components.data.load_mask_sources`.

    Args:
        datalist: JSON or JSON Lines datalist.
        section: ``training``, ``validation`` or ``test``.
        classes: in the order of the targets' channels.
        dataset_dir: folder that image and mask paths are relative to, by default the datalist's.
        missing: what a class is in an image that has neither mask nor label of it: ``"absent"`` or ``"unknown"``.
        boxes: boxes become masks.
        names: names in the datalist that differ from the classes, ``{"OD": "optic disc"}``. Several names may become
            one class, whose masks are then united.
        fraction: part of the patients, for training; see :func:`take_fraction`.
        seed: of the fraction.

    Returns:
        The items; ``left_out`` counts those that were left out, by reason.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: an argument out of range, a section without items of which something is known, or (in training) a
            class without any mask.
    """
    known = different_names(classes)
    where = Path(datalist).name
    source = MaskSource(
        name=where,
        datalist=datalist,
        classes=known,
        dataset_dir=dataset_dir,
        names=names or {},
        missing=missing,
        boxes=boxes,
    )
    if section != TRAINING and fraction != 1:
        raise ValueError(f"a fraction of {fraction:g} is for training; {section} is always taken whole")
    items = load_datalist(datalist, section, dataset_dir)
    report = SourceReport()
    places: list[int] = []
    rows: list[list[int]] = []
    for place, item in enumerate(items):
        labels = source.annotate(item)[1]
        if report.add(source, item, labels):
            places.append(place)
            rows.append([labels[name] for name in known])
    _require_masks(report, known, f"{where}, section {section!r}", section == TRAINING, boxes)
    left_out = {"nothing is known": report.nothing_known} if report.nothing_known else {}
    table = np.array(rows, np.int8)
    found = TaskItems(items, table, known, places=places, annotate=_Targets(source), left_out=left_out)
    if fraction < 1:
        found = take_fraction(found, fraction, seed)
    counts = ", ".join(
        f"{name} {'/'.join(str((found.labels[:, place] == value).sum()) for value in (1, 0, UNKNOWN))}"
        for place, name in enumerate(known)
    )
    logger.info("%s, section %r: %d images; present/absent/unknown: %s", where, section, len(found), counts)
    return found


def _require_masks(report: SourceReport, classes: tuple[str, ...], where: str, training: bool, boxes: bool) -> None:
    """Log what was left out; refuse a section from which nothing can be learned or judged."""
    others = ", ".join(f"{name!r} ({count} images)" for name, count in report.left_out.most_common(20))
    have = f"Its items have other {'masks or boxes' if boxes else 'masks'} of {others or 'nothing'}"
    mend = "correct classes, map the datalist's names to them by names, or check that the masks are in the datalist"
    if not report.images:
        raise ValueError(
            f"{where}: nothing is known of {list(classes)} in any of its {report.nothing_known} items. {have}: {mend}"
        )
    if training and (bare := [name for name in classes if not report.present[name]]):
        raise ValueError(f"{where}: no image has a mask of {bare}, of which nothing could be learned. {have}: {mend}")
    if others:
        logger.info("%s: not used: masks or boxes of %s", where, others)
    if report.nothing_known:
        logger.warning("%s: left out %d images of which nothing is known", where, report.nothing_known)
