# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The data contract in force: quick acceptance of good items, exact messages for bad ones.

``datalist.schema.json`` is the authority. Its Python validator needs about a hundred microseconds an item, so
:func:`is_valid_item` says the same in plain Python for the items that are good, which is nearly all of them, and only
the others go to ``jsonschema``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from radbundles.components.data.fault import Fault, hide_patient, shorten

SPLITS = ("training", "validation", "test")
# Values of these fields are private or free text: a message says what kind of value it is, never the value.
_PRIVATE = frozenset({"patient", "study", "report", "phrases", "metadata"})


@cache
def datalist_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a datalist, with the items under ``$defs``."""
    text = resources.files(__package__).joinpath("datalist.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator(definition: str | None) -> Draft202012Validator:
    schema = datalist_schema()
    if definition is not None:
        schema = {"$schema": schema["$schema"], "$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema)


def _name(value: object) -> bool:
    return type(value) is str and bool(value.strip())


def _path(value: object) -> bool:
    return type(value) is str and "\0" not in value and bool(value.strip())


def _age(value: object) -> bool:
    return type(value) in (int, float) and not (value < 0 or value > 130)  # type: ignore[operator]


def _names(value: dict[Any, Any]) -> bool:
    return all(map(str.strip, value)) if set(map(type, value)) <= {str} else False


def _texts(value: object) -> bool:
    return type(value) is dict and _names(value) and set(map(type, value.values())) <= {str}


def _labels(value: object) -> bool:
    if type(value) is not dict or not _names(value):
        return False
    return set(map(type, value.values())) <= {int, float} and set(value.values()) <= {1, 0, -1}


def _masks(value: object) -> bool:
    return type(value) is dict and _names(value) and all(map(_path, value.values()))


def _box_list(value: object) -> bool:
    if type(value) is not list:
        return False
    for box in value:
        if type(box) is not list or len(box) != 4 or not set(map(type, box)) <= {int, float}:
            return False
    return True


def _boxes(value: object) -> bool:
    return type(value) is dict and _names(value) and all(map(_box_list, value.values()))


def _phrases(value: object) -> bool:
    if type(value) is not list:
        return False
    for phrase in value:
        if type(phrase) is not dict or phrase.keys() != {"text", "boxes"}:
            return False
        if not _name(phrase["text"]) or not _box_list(phrase["boxes"]):
            return False
    return True


def _whole(value: object) -> bool:
    # JSON Schema counts 3.0 as an integer.
    return type(value) is int or (type(value) is float and value.is_integer())


def _size(value: object) -> bool:
    return type(value) is list and len(value) == 2 and all(_whole(v) and v >= 1 for v in value)


def _window(value: object) -> bool:
    return type(value) is list and len(value) == 2 and all(_whole(v) and 0 <= v <= 2 for v in value)


def _metadata(value: object) -> bool:
    return type(value) is dict and set(map(type, value.values())) <= {str, int, float, bool, type(None)}


_FIELDS = {
    "id": _name,
    "image": _path,
    "patient": _name,
    "study": _name,
    "view": _name,
    "modality": lambda value: type(value) is str and value in ("CXR", "fundus"),
    "sex": lambda value: type(value) is str and value in ("F", "M", "O"),
    "age": _age,
    "report": _texts,
    "labels": _labels,
    "masks": _masks,
    "boxes": _boxes,
    "phrases": _phrases,
    "size": _size,
    "window": _window,
    "license": _name,
    "source": _name,
    "metadata": _metadata,
}


def is_valid_item(item: object) -> bool:
    """Whether an item obeys ``#/$defs/item``, in a few microseconds."""
    if type(item) is not dict or "id" not in item or "image" not in item:
        return False
    for key, value in item.items():
        test = _FIELDS.get(key)
        if test is None or not test(value):
            return False
    return True


def item_faults(item: object, row: int | None = None) -> list[Fault]:
    """All faults of an item against ``#/$defs/item``.

    Args:
        item: the item, without ``split``.
        row: row number for the fault records.

    Returns:
        One fault for each violation, empty for a good item. Values of private fields (patient, study, report, phrases,
        metadata) are never shown.
    """
    if is_valid_item(item):
        return []
    errors = sorted(_validator("item").iter_errors(item), key=lambda error: [str(part) for part in error.absolute_path])
    return [fault for error in errors for fault in _explain(error, item, row)]


def header_faults(header: Mapping[str, Any]) -> list[Fault]:
    """All faults of the top level of a JSON datalist; its items are not looked into."""
    bare = {key: [] if key in SPLITS and isinstance(value, list) else value for key, value in header.items()}
    return [fault for error in _validator(None).iter_errors(bare) for fault in _explain(error, {}, None)]


def field_name(parts: Iterable[str | int]) -> str:
    """Path of a field as it is shown: ``["boxes", "nodule", 0]`` becomes ``boxes.nodule[0]``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _explain(error: ValidationError, item: Any, row: int | None) -> Iterator[Fault]:
    """Turn one error of ``jsonschema`` into faults that say what, where and how to mend."""
    parts = list(error.absolute_path)
    name = field_name(parts)
    top = parts[0] if parts else None
    identity = item.get("id") if isinstance(item, dict) and isinstance(item.get("id"), str) else None
    wanted: Any = error.validator_value
    instance: Any = error.instance
    if top in _PRIVATE:
        shown = f"a {_KINDS.get(type(instance), 'value')}"
    else:
        shown = hide_patient(shorten(instance), item if isinstance(item, dict) else {})

    def fault(code: str, message: str, fix: str, field: str | None = name or None) -> Fault:
        return Fault(row=row, id=identity, field=field, code=code, message=message, fix=fix)

    if error.validator == "required":
        missing = next(key for key in wanted if key not in instance and f"'{key}'" in error.message)
        yield fault("missing_field", "is missing", f"Add {missing!r}.", field_name([*parts, missing]))
    elif error.validator == "anyOf":
        yield fault("missing_field", "there is no section", f"Put the items under one of {', '.join(SPLITS)}.")
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = _known_fields(error)
        for key in instance:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}."
                if not parts and row is not None:
                    hint += " Other knowledge goes into 'metadata'."
                yield fault("unknown_field", "is not a field of the contract", hint, field_name([*parts, key]))
    elif error.validator == "type":
        kinds = " or ".join(_TYPES[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))
        found = _KINDS.get(type(instance), type(instance).__name__)
        told = "" if top in _PRIVATE or isinstance(instance, (dict, list)) or not parts else f" {shown}"
        yield fault("wrong_type", f"must be a {kinds}, not a {found}{told}", f"Write a {kinds}.")
    elif error.validator == "enum" and top == "labels":
        fix = "Write 1 for present, 0 for absent, -1 for unknown."
        yield fault("label_value", f"{shown} is none of 1, 0, -1", fix)
    elif error.validator == "enum":
        allowed = ", ".join(map(repr, wanted))
        yield fault("wrong_value", f"{shown} is none of {allowed}", "Write one of them, or leave the field out.")
    elif error.validator in ("minimum", "maximum"):
        bound = "less" if error.validator == "minimum" else "more"
        yield fault("wrong_value", f"{shown} is {bound} than {wanted}", "Correct it, or leave the field out.")
    elif error.validator in ("minItems", "maxItems"):
        fix = _SHAPES.get(str(top), f"Write {wanted} numbers.")
        yield fault("wrong_value", f"has {len(instance)} numbers, not {wanted}", fix)
    elif error.validator == "uniqueItems":
        yield fault("wrong_value", "lists a name twice", "Keep one of them.")
    elif "propertyNames" in error.absolute_schema_path:
        yield fault("wrong_value", "has an entry without a name", "Give every entry a name.")
    elif error.validator == "pattern":
        yield fault("wrong_value", "is blank or has a null character", "Write a text, or leave the field out.")
    else:
        raise NotImplementedError(f"the schema has the keyword {error.validator!r}, which has no message here")


def _known_fields(error: ValidationError) -> list[str]:
    schema: Any = error.schema
    return list(_FIELDS if error.validator == "unevaluatedProperties" else schema["properties"])


_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "object": "JSON object",
    "array": "list",
    "boolean": "true/false",
    "null": "null",
}
_KINDS: dict[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true/false",
    dict: "JSON object",
    list: "list",
    type(None): "null",
}
_SHAPES = {
    "boxes": "A box is [x0, y0, x1, y1].",
    "phrases": "A box is [x0, y0, x1, y1].",
    "size": "The size is [width, height].",
    "window": "The window is [row, column].",
}
