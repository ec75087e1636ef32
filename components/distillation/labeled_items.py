# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which items of a datalist the labels of a label set are about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.lines import existing, is_jsonl, iter_lines, parse_json
from radbundles.components.distillation.labels import LabeledReport


class LabeledItem(NamedTuple):
    """An item of a datalist that has labels.

    Args:
        id: of the item.
        report: section name -> text.
    """

    id: str
    report: dict[str, str]


def find_labeled_items(labels: Iterable[LabeledReport], datalist: str | os.PathLike[str]) -> dict[str, LabeledItem]:
    """Find the item that each label is about: the one of that id, or else the first of that study with a report.

    Labels may name studies, since one report can stand beside several images.

    Args:
        labels: the label set.
        datalist: JSON or JSON Lines. Rows that cannot be read are passed over.

    Returns:
        Id of the label -> item; labels whose report is not there are missing.

    Raises:
        FileNotFoundError: if there is no such datalist.
        ValueError: if a JSON datalist as a whole cannot be read.
    """
    wanted = {label.id for label in labels}
    by_id: dict[str, LabeledItem] = {}
    by_study: dict[str, LabeledItem] = {}
    for item in _items(datalist):
        name, study, report = item.get("id"), item.get("study"), item.get("report")
        if not (isinstance(name, str) and isinstance(report, dict)):
            continue
        if not all(isinstance(text, str) for text in report.values()):
            continue
        if name in wanted:
            by_id.setdefault(name, LabeledItem(name, report))
        if isinstance(study, str) and study in wanted:
            by_study.setdefault(study, LabeledItem(name, report))
    return {**by_study, **by_id}


def _items(datalist: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    if not is_jsonl(datalist):
        yield from (item for _, _, item in iter_datalist(datalist))
        return
    for _, _, raw in iter_lines(existing(datalist)):
        with suppress(ValueError):
            if isinstance(item := parse_json(raw), dict):
                yield item
