# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A table of one's own: each column says which field of the contract it is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.cells import (
    is_unsaid,
    parse_age,
    parse_boxes,
    parse_class,
    parse_label,
    parse_sex,
)
from radbundles.components.data.layouts.table import Table, layout_fault
from radbundles.components.data.natural import natural_key

_PLAIN = ("id", "image", "patient", "study", "view", "modality", "license", "source", "split")
_GROUPS = ("report", "label", "mask", "box", "metadata")
_SINGLE = (*_PLAIN, "sex", "age", "report", "category")
FIELDS = (*_SINGLE, *(f"{group}.<name>" for group in _GROUPS))
_MOST_CLASSES = 1000
_SPLIT_NAMES = {"train": "training", "val": "validation", "valid": "validation", "validate": "validation"}


def read_csv_export(
    source: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    classes: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read a table with one image a row.

    Args:
        source: the CSV file (``.csv`` or ``.csv.gz``).
        mapping: column of each field. Fields are ``id, image, patient, study, view, modality, sex, age, license,
            source, split``, ``report`` (a report of one piece) or ``report.<section>``, ``category`` (the one class
            that the image has), ``label.<name>``, ``mask.<name>``, ``box.<name>`` (a column of boxes, or four columns
            ``x0,y0,x1,y1``) and ``metadata.<name>``. A column that is named like a field needs no entry. Only
            ``image`` is required; without ``id`` the image path is the id.
        labels: columns that are labels of the same name.
        classes: classes that ``category`` may be, in order; by default all values of its column in natural order
            ("grade 2" before "grade 10"). Spaces and capitals do not matter, and the first spelling counts. Unless
            it is one of the classes, ``unknown`` (``na``, ``nan``, ``?``) is like a blank. The labels of an image with
            a category are 1 for that class and 0 for the others.
        delimiter: see :class:`Table`.
        encoding: see :class:`Table`.

    Yields:
        Row number (the header is row 1) and an item, or the fault for which the row is left out. A blank label or
        category is left out.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: a field or a column that does not exist, no column for ``image``, or classes without a category.
    """
    table = Table(source, delimiter=delimiter, encoding=encoding)
    columns = _resolve(table, dict(mapping or {}), labels)
    categories = _Categories(table, columns, classes)
    for row, cells in table:
        yield row, cells if isinstance(cells, Fault) else _item(row, cells, columns, categories)


def read_mapping(path: Path) -> dict[str, str]:
    """Read a mapping from a JSON object of field and column; ValueError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f'{path} must be a JSON object of field and column, such as {{"image": "file_name"}}')
    return found


def _resolve(table: Table, mapping: dict[str, str], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    mapping.update((f"label.{name}", name) for name in labels)
    taken = set(mapping.values())
    # A column named like a field is that field, unless the mapping uses it for something else.
    for name in table.columns:
        if _is_field(name) and name not in mapping and name not in taken:
            mapping[name] = name
    columns: dict[str, tuple[str, ...]] = {}
    for field, column in mapping.items():
        if not _is_field(field):
            raise ValueError(f"the mapping names the field {field!r}; fields are {', '.join(FIELDS)}")
        four = tuple(part.strip() for part in column.split(","))
        columns[field] = four if field.startswith("box.") and len(four) == 4 else (column,)
    if "image" not in columns:
        raise ValueError(f"no column is mapped to 'image'; {table.path} has the columns {', '.join(table.columns)}")
    table.require(*(name for names in columns.values() for name in names))
    return columns


def _is_field(name: str) -> bool:
    group, dot, rest = name.partition(".")
    return bool(dot and rest.strip() and group in _GROUPS) or name in _SINGLE


class _Categories:
    """The classes of which an image has one."""

    def __init__(self, table: Table, columns: dict[str, tuple[str, ...]], classes: Sequence[str]) -> None:
        self._names: dict[str, str] = {}
        if "category" not in columns:
            if classes:
                raise ValueError(f"classes {', '.join(classes)} need a column for 'category'; map it to one")
            return
        if classes:
            values = [parse_class(name) for name in classes]
            if not all(values) or len({name.casefold() for name in values}) < len(values):
                raise ValueError(f"classes must be different names, not {', '.join(classes)}")
        else:
            values = self._found(table, columns["category"][0])
        self._names = {name.casefold(): name for name in values}

    @staticmethod
    def _found(table: Table, column: str) -> list[str]:
        spellings: dict[str, str] = {}
        for _, cells in table:
            if not isinstance(cells, Fault) and not is_unsaid(name := parse_class(cells[column])):
                spellings.setdefault(name.casefold(), name)
                if len(spellings) > _MOST_CLASSES:
                    raise ValueError(
                        f"column {column!r} is mapped to 'category', but has more than {_MOST_CLASSES} different "
                        "values. Give the classes, or map another column"
                    )
        return sorted(spellings.values(), key=natural_key)

    def labels(self, cell: str) -> dict[str, int]:
        """1 for the class of a cell, 0 for the others; none if nothing is said; ValueError if it is no class."""
        name = self._names.get(parse_class(cell).casefold())
        if name is None and is_unsaid(cell):
            return {}
        if name is None:
            near = difflib.get_close_matches(cell, self._names.values(), 1)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise ValueError(f"{cell!r} is none of the classes {', '.join(self._names.values())}{hint}")
        return {other: int(other == name) for other in self._names.values()}


def _item(
    row: int, cells: dict[str, str], columns: dict[str, tuple[str, ...]], categories: _Categories
) -> dict[str, Any] | Fault:
    image = cells[columns["image"][0]].replace("\\", "/")
    name = cells[columns["id"][0]] if "id" in columns else str(PurePosixPath(image).with_suffix("")) if image else ""
    if not name or not image:
        lacking = "image" if not image else "id"
        return layout_fault(row, "missing_field", "the cell is blank", f"Fill in the {lacking}.", field=lacking)
    item: dict[str, Any] = {"id": name, "image": image}
    for field, names in columns.items():
        group, _, key = field.partition(".")
        cell = ",".join(cells[column] for column in names)
        try:
            if group in ("id", "image"):
                continue
            if group in _PARSED:
                item[group] = _PARSED[group](cell)
            elif group == "report" and cell:
                item.setdefault("report", {})[key or "text"] = cell
            elif group == "category" and (found := categories.labels(cell)):
                item.setdefault("labels", {}).update(found)
            elif group == "label" and cell.strip():
                item.setdefault("labels", {})[key] = parse_label(cell)
            elif group == "mask" and cell:
                item.setdefault("masks", {})[key] = cell.replace("\\", "/")
            elif group == "box" and cell.strip(","):
                item.setdefault("boxes", {})[key] = parse_boxes(cell)
            elif group == "metadata" and cell:
                item.setdefault("metadata", {})[key] = cell
            elif group == "split" and cell:
                item["split"] = _SPLIT_NAMES.get(cell.lower(), cell.lower())
            elif group in _PLAIN and cell:
                item[group] = cell
        except ValueError as error:
            code = (
                "label_value"
                if group in ("label", "category")
                else "box_inverted"
                if "no area" in str(error)
                else "wrong_value"
            )
            fix = f"Correct column {', '.join(names)!r}."
            return layout_fault(row, code, str(error), fix, name=name, field=field)
    return {key: value for key, value in item.items() if value is not None}


_PARSED: dict[str, Callable[[str], object]] = {"sex": parse_sex, "age": parse_age}
