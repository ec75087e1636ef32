# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Items for classification: what a datalist says of each class, checked for whether it can be learned."""

from __future__ import annotations

import difflib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.datalist import iter_datalist, load_datalist, read_document
from radbundles.components.data.fractions import take_fraction
from radbundles.components.data.lines import existing, is_jsonl
from radbundles.components.data.mask_source import ABSENT, PRESENT, UNKNOWN
from radbundles.components.data.natural import natural_key
from radbundles.components.data.task_items import TaskItems, different_names

logger = logging.getLogger(__name__)
TRAINING = "training"
TASKS = ("multilabel", "multiclass")
_NOTHING = "nothing is known"
_NO_CLASS = "no class is present"
_SEVERAL = "several classes are present"


def load_label_items(
    datalist: str | os.PathLike[str],
    section: str,
    classes: Sequence[str] | None = None,
    *,
    task: str = "multilabel",
    dataset_dir: str | os.PathLike[str] | None = None,
    missing: str = "unknown",
    names: Mapping[str, str] | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    balance: bool = False,
    allow_one_sided: bool = False,
) -> TaskItems:
    """Open one section of a datalist for classification.

    Args:
        datalist: JSON or JSON Lines datalist.
        section: ``training``, ``validation`` or ``test``.
        classes: in the order of the network's outputs; by default :func:`datalist_classes`.
        task: ``"multilabel"``, a yes or no for each class, or ``"multiclass"``, where an image has exactly one class:
            the one label of 1 decides, whatever else is said or not said. Images without, or with several, are left
            out.
        dataset_dir: folder that image paths are relative to, by default the datalist's.
        missing: what a class is in an image of which the datalist says nothing of it, for ``"multilabel"``:
            ``"unknown"``, or ``"absent"`` if the table lists what was found. Images of which nothing is known are left
            out.
        names: names in the datalist that differ from the classes, ``{"Nodule/Mass": "Nodule"}``. Several names may
            become one class: present if one of them is, else unknown if one of them is, else absent.
        fraction: part of the patients, for training; see :func:`take_fraction`.
        seed: of the fraction.
        balance: order the items by their rarest class and give
            :class:`~radbundles.components.data.MixedSampler` the counts and weights to draw from all classes evenly.
        allow_one_sided: permit training although a class is present, or absent, in no image.

    Returns:
        The items; ``left_out`` counts those that were left out, by reason.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: an argument out of range, a section without items of which something is known, or (in training) a
            class that is present, or absent, in no image, from which it cannot be learned.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, not {task!r}")
    if missing not in ("unknown", "absent"):
        raise ValueError(f"missing must be 'unknown' or 'absent', not {missing!r}")
    if section != TRAINING and fraction != 1:
        raise ValueError(f"a fraction of {fraction:g} is for training; {section} is always taken whole")
    known = different_names(datalist_classes(datalist) if classes is None else classes)
    own = _own_names(known, names or {})
    blank = ABSENT if missing == "absent" else UNKNOWN

    items = load_datalist(datalist, section, dataset_dir)
    places: list[int] = []
    rows: list[list[int]] = []
    left_out: Counter[str] = Counter()
    met: set[str] = set()
    for place, item in enumerate(items):
        said = item.get("labels", {})
        met.update(said)
        row = _row(said, known, own, blank)
        if task == "multiclass":
            row = [PRESENT if value == PRESENT else ABSENT for value in row]
        if reason := _reason(row, task):
            left_out[reason] += 1
        else:
            places.append(place)
            rows.append(row)
    where = f"{Path(datalist).name}, section {section!r}"
    table = np.array(rows, np.int8).reshape(-1, len(known))
    if not places:
        raise ValueError(
            f"{where}: none of its {len(items)} items can be used ({_counts(left_out)}). Classes are {list(known)}, "
            f"labels of the items are {sorted(met)[:20]}: correct classes, or map names by names"
        )
    found = TaskItems(items, table, known, places=places, left_out=left_out)
    logger.info("%s: %d images; present/absent/unknown: %s", where, len(found), _table(known, table))
    if left_out:
        logger.warning("%s: left out %d images: %s", where, left_out.total(), _counts(left_out))
    if section == TRAINING:
        if not allow_one_sided:
            _require_two_sides(where, known, table, met, missing)
        if fraction < 1:
            found = take_fraction(found, fraction, seed)
            one_sided = _one_sided(known, found.labels)
            if one_sided:
                logger.warning("%s: in this fraction %s, so nothing is learned of it", where, "; ".join(one_sided))
    return found.by_stratum() if balance else found


def datalist_classes(datalist: str | os.PathLike[str]) -> list[str]:
    """Names of the classes of a datalist: ``label_names`` of its header, else all labels of its training items.

    Labels of items are put in natural order ("grade 2" before "grade 10"), which does not depend on the rows.

    Raises:
        FileNotFoundError: there is no such datalist.
        ValueError: there is no label at all.
    """
    path = existing(datalist)
    header = None if is_jsonl(path) else read_document(path).get("label_names")
    if header:
        return list(header)
    found: set[str] = set()
    for _, split, item in iter_datalist(path):
        if split == TRAINING:
            found.update(item.get("labels", {}))
    if not found:
        raise ValueError(f"{path} has neither label_names nor labels in {TRAINING}: name the classes, or add labels")
    return sorted(found, key=natural_key)


def _own_names(classes: tuple[str, ...], names: Mapping[str, str]) -> dict[str, list[str]]:
    """Names in the datalist of each class."""
    for name, target in names.items():
        if target not in classes:
            near = difflib.get_close_matches(target, classes, 1)
            hint = f"is it {near[0]!r}?" if near else f"classes are {list(classes)}"
            raise ValueError(f"names turns {name!r} into {target!r}, which is no class; {hint}")
    own = {name: [] if name in names else [name] for name in classes}
    for name, target in names.items():
        own[target].append(name)
    return own


def _row(said: Mapping[str, int], classes: tuple[str, ...], own: Mapping[str, list[str]], blank: int) -> list[int]:
    """Label of each class."""
    row = []
    for name in classes:
        values = [said[other] for other in own[name] if other in said]
        if PRESENT in values:
            row.append(PRESENT)
        else:
            row.append(UNKNOWN if UNKNOWN in values else ABSENT if values else blank)
    return row


def _reason(row: Iterable[int], task: str) -> str | None:
    """Why an item with these labels is left out, None if it is not."""
    values = list(row)
    if task == "multiclass":
        present = values.count(PRESENT)
        return None if present == 1 else _SEVERAL if present else _NO_CLASS
    return _NOTHING if values.count(UNKNOWN) == len(values) else None


def _require_two_sides(
    where: str, classes: tuple[str, ...], labels: NDArray[np.int8], met: set[str], missing: str
) -> None:
    """Refuse classes that cannot be learned."""
    if not (faults := _one_sided(classes, labels)):
        return
    mends = ["take the class out", "or give allow_one_sided=true to train the others"]
    unmet = [name for name in classes if not (labels == PRESENT)[:, classes.index(name)].any() and name not in met]
    if unmet and (others := sorted(met - set(classes))):
        near = difflib.get_close_matches(unmet[0], others, 1) or others[:1]
        mends.insert(0, f"map a label of the datalist to it by names, such as {{{near[0]!r}: {unmet[0]!r}}}")
    if missing == "unknown" and not (labels == ABSENT).any(axis=0).all():
        mends.insert(0, "give missing='absent' if the table lists findings and a blank means that there was none")
    raise ValueError(f"{where}: {'; '.join(faults)}. Add such images, {', '.join(mends)}")


def _one_sided(classes: tuple[str, ...], labels: NDArray[np.int8]) -> list[str]:
    """What is lacking of each class that is not both present and absent in some image."""
    return [
        f"{name!r} is present in {present} images and absent in {absent}"
        for name, present, absent in zip(
            classes, (labels == PRESENT).sum(axis=0), (labels == ABSENT).sum(axis=0), strict=True
        )
        if not present or not absent
    ]


def _table(classes: tuple[str, ...], labels: NDArray[np.int8]) -> str:
    counts = zip(*((labels == value).sum(axis=0).tolist() for value in (PRESENT, ABSENT, UNKNOWN)), strict=True)
    return ", ".join(f"{name} {'/'.join(map(str, three))}" for name, three in zip(classes, counts, strict=True))


def _counts(left_out: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in left_out.most_common())
