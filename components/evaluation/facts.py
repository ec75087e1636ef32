# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whom the samples belong to and in which groups they are, read from the datalist."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation.protocol import Facts

__all__ = ["NOT_GIVEN", "sample_facts", "subgroup_rows"]

NOT_GIVEN = "not given"
FIELDS = ("sex", "view", "modality", "source", "age", "license")
MOST_VALUES = 50  # a column with more, e.g. an accession number, tells persons apart and not groups


def sample_facts(
    items: Iterable[Mapping[str, Any]],
    columns: Sequence[str] = ("sex", "view", "source", "age"),
    age_bands: Sequence[float] = (0, 18, 40, 60, 75),
) -> dict[str, Facts]:
    """Patient and groups of each item of a datalist.

    Patients come out as running numbers in the order in which they first occur. An item without a patient goes by its
    study, else by its id, as it does when a datalist is split.

    Args:
        items: of a datalist.
        columns: what tells groups apart: ``sex``, ``view``, ``modality``, ``source``, ``license``, ``age`` (in bands)
            or ``metadata.<name>``. An item that lacks one is in the group ``not given``; a column that all items lack
            is left out.
        age_bands: lower bounds in years, ascending; the last band is open.

    Returns:
        id -> facts.

    Raises:
        ValueError: a column that is no group, one with more than 50 values, a value that is neither text, number nor
            flag, or age bands that do not ascend.
    """
    for column in columns:
        if column not in FIELDS and not re.fullmatch(r"metadata\..+", column):
            raise ValueError(
                f"column {column!r} tells no groups apart: take {', '.join(FIELDS)} or metadata.<name> of the datalist"
            )
    if not age_bands or any(not low < high for low, high in pairwise(age_bands)):
        raise ValueError(f"age_bands must be ascending lower bounds in years, got {list(age_bands)}")
    numbers: dict[tuple[str, str], int] = {}
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for item in items:
        field = next(name for name in ("patient", "study", "id") if item.get(name))
        cluster = numbers.setdefault((field, str(item[field])), len(numbers))
        found[item["id"]] = cluster, {column: _value(item, column, age_bands) for column in columns}
    kept = [column for column in columns if _is_kept(column, {groups[column] for _, groups in found.values()})]
    return {id: Facts(cluster, {column: groups[column] for column in kept}) for id, (cluster, groups) in found.items()}


def subgroup_rows(groups: Sequence[Mapping[str, str]]) -> dict[str, dict[str, NDArray[np.intp]]]:
    """Rows of each value of each column that has two values or more; what is not given comes last.

    Args:
        groups: value in each column, one mapping a row.
    """
    columns = dict.fromkeys(column for entry in groups for column in entry)
    parts = {}
    for column in columns:
        values = np.array([entry.get(column, NOT_GIVEN) for entry in groups])
        names = sorted(set(values.tolist()), key=_order)
        if len(names) > 1:
            parts[column] = {name: np.flatnonzero(values == name) for name in names}
    return parts


def _value(item: Mapping[str, Any], column: str, age_bands: Sequence[float]) -> str:
    name = column.removeprefix("metadata.")
    value = (item if name == column else item.get("metadata") or {}).get(name)
    if value is None or value == "":
        return NOT_GIVEN
    if not isinstance(value, (str, bool, int, float)):
        raise ValueError(f"item {item['id']!r}: {column} is a {type(value).__name__}, not a text, number or flag")
    if column == "age":
        return _band(float(value), age_bands)
    return str(value)


def _band(age: float, lower: Sequence[float]) -> str:
    place = sum(age >= bound for bound in lower) - 1
    if math.isnan(age) or place < 0:
        return f"under {lower[0]:g}" if age < lower[0] else NOT_GIVEN
    if place == len(lower) - 1:
        return f"{lower[-1]:g} and over"
    low, high = lower[place], lower[place + 1]
    # Ages are whole years where all bounds are.
    return (
        f"{low:g} to {high - 1:g}" if float(low).is_integer() and float(high).is_integer() else f"{low:g} to {high:g}"
    )


def _is_kept(column: str, values: set[str]) -> bool:
    if len(values) > MOST_VALUES:
        raise ValueError(
            f"column {column!r} has {len(values)} values, more than {MOST_VALUES}: it does not tell groups apart"
        )
    return bool(values - {NOT_GIVEN})


def _order(name: str) -> tuple[bool, bool, float, str]:
    number = re.match(r"(?:under )?(\d+(?:\.\d+)?)", name)
    rank = float(number[1]) if number else math.inf
    return name == NOT_GIVEN, not name.startswith("under "), rank, name
