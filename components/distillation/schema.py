# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Check distilled records: against ``distilled.schema.json``, and against the report they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

_CERTAINTIES = frozenset({"present", "uncertain", "absent"})


@cache
def distilled_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one record."""
    text = resources.files(__package__).joinpath("distilled.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def record_faults(record: object) -> list[str]:
    """What is wrong with a record, as ``field: rule`` texts; empty when it is good.

    Values never show up in the texts, since a record of a foreign backend may quote the report.
    """
    errors = Draft202012Validator(distilled_schema()).iter_errors(record)
    return sorted(f"{'.'.join(map(str, e.absolute_path)) or 'record'}: breaks {e.validator!r}" for e in errors)


def is_valid_output(output: object, report: Mapping[str, str]) -> bool:
    """Whether a backend's output has the right form and its evidence lies inside the report.

    Plain Python on purpose: a job asks this of every report, and ``jsonschema`` would take longer than the rules do.
    """
    if not (isinstance(output, dict) and output.keys() == {"text", "entities"} and isinstance(output["text"], str)):
        return False
    entities = output["entities"]
    return isinstance(entities, list) and all(_is_valid_entity(entity, report) for entity in entities)


def _is_valid_entity(entity: Any, report: Mapping[str, str]) -> bool:
    try:
        evidence = entity["evidence"]
        return (
            len(entity) == 4
            and len(evidence) == 3
            and isinstance(entity["entity"], str)
            and entity["entity"] != ""
            and entity["certainty"] in _CERTAINTIES
            and isinstance(entity["descriptors"], list)
            and all(isinstance(word, str) and word for word in entity["descriptors"])
            and type(evidence["start"]) is int
            and type(evidence["end"]) is int
            and 0 <= evidence["start"] < evidence["end"] <= len(report[evidence["section"]])
        )
    except (KeyError, TypeError):
        return False
