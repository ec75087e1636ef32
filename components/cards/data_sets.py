# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of data sets and published weights: what each is, its terms, and what may be made public of it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROLES = {"made_for": "made for", "starts_from": "starts from", "trained_on": "trained on"}
"""Keys under ``data_sets`` in a bundle's metadata, and how a card calls them; no data set at all is an empty list."""
ANSWERS = ("yes", "no", "ask", "check")
_TABLE = Path(__file__).with_name("datasets.json")


@dataclass(frozen=True)
class DataSet:
    """One row of the table.

    Args:
        id: what metadata calls it by.
        name: its name.
        what: what it holds, and how it is come by.
        url: its home.
        license: its terms, in short.
        weights: whether weights that were trained on it may be public: ``yes``, ``no``, ``ask`` (its owners), or
            ``check`` (its terms do not settle it, or were not read).
        weights_why: the reason.
        rows: the same of its images, reports and labels.
        rows_why: the reason.
        citation: what to cite.
        hub_license: the identifier that a model hub knows the terms by, where there is one.
    """

    id: str
    name: str
    what: str
    url: str
    license: str
    weights: str
    weights_why: str
    rows: str
    rows_why: str
    citation: str
    hub_license: str | None = None


@cache
def read_data_sets() -> Mapping[str, DataSet]:
    """Read the table, by id.

    Raises:
        ValueError: a row with a missing or an unknown field, or another answer than :data:`ANSWERS`.
    """
    table = {}
    for id, row in json.loads(_TABLE.read_text(encoding="utf-8")).items():
        try:
            table[id] = DataSet(id=id, **row)
        except TypeError as error:
            raise ValueError(f"{_TABLE.name}: {id}: {error}") from None
        for field in ("weights", "rows"):
            if getattr(table[id], field) not in ANSWERS:
                raise ValueError(f"{_TABLE.name}: {id}: {field} is {getattr(table[id], field)!r}, not one of {ANSWERS}")
    return table


def data_sets_of(metadata: Mapping[str, Any]) -> dict[str, tuple[DataSet, ...]]:
    """Look up what a bundle's metadata names under ``data_sets``.

    Args:
        metadata: content of ``configs/metadata.json``.

    Returns:
        role (``made_for``, ``starts_from``, ``trained_on``) -> data sets; roles that are not named are left out.

    Raises:
        ValueError: an unknown role or id; the message names the nearest.
    """
    table = read_data_sets()
    found = {}
    named = metadata.get("data_sets") or {}
    if not isinstance(named, Mapping):
        raise ValueError(f"configs/metadata.json: data_sets must be an object of roles ({', '.join(ROLES)}) and lists")
    for role, ids in named.items():
        if role not in ROLES:
            raise ValueError(f"configs/metadata.json: data_sets#{role} is no role: name one of {', '.join(ROLES)}")
        if not isinstance(ids, (list, tuple)):
            raise ValueError(f"configs/metadata.json: data_sets#{role} must be a list of ids, not {ids!r}")
        for id in ids:
            if not (isinstance(id, str) and id in table):
                close = difflib.get_close_matches(str(id), table, n=1)
                hint = f"did you mean {close[0]!r}?" if close else "see docs/licenses.md"
                raise ValueError(f"configs/metadata.json: data_sets#{role} names {id!r}, which is unknown: {hint}")
        found[role] = tuple(table[id] for id in ids)
    return {role: found[role] for role in ROLES if role in found}


def closed_data_sets(metadata: Mapping[str, Any]) -> tuple[DataSet, ...]:
    """Return the data sets and weights behind a bundle's weights whose terms do not clearly let these be public.

    Args:
        metadata: content of ``configs/metadata.json``. What stands under ``made_for`` alone does not count.

    Returns:
        those of ``trained_on`` and ``starts_from`` whose answer is not ``yes``; each says why.

    Raises:
        ValueError: as :func:`data_sets_of`.
    """
    behind = data_sets_of(metadata)
    named = (*behind.get("trained_on", ()), *behind.get("starts_from", ()))
    return tuple(dict.fromkeys(one for one in named if one.weights != "yes"))
