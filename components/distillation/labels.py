# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A label set for distillation: which entities reports speak of, how surely, and where; without a word of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

from radbundles.components.data.lines import existing, iter_lines, parse_json
from radbundles.components.distillation.lexicon import CueList


@dataclass(frozen=True)
class Mention:
    """What a reader says of one entity of a report, and the words that decide it.

    Args:
        entity: name of the entity.
        certainty: ``present``, ``uncertain``, ``absent``, or ``unclear`` when a reader cannot decide either.
        section: section of the report.
        start: first character in the section's text.
        end: character after the last.
    """

    entity: str
    certainty: str
    section: str
    start: int
    end: int


@dataclass(frozen=True)
class LabeledReport:
    """The labels of one report. An entity without a mention is one that the report does not speak of.

    Args:
        id: id of the datalist item, or of its study.
        sections: section name -> SHA-256 of its text, for all sections that were read.
        part: ``tuning``, or ``held-out`` if no backend may be mended by it.
        mentions: one for each entity.
        drawn: ``random`` or ``enriched``, None if that is not known.
    """

    id: str
    sections: Mapping[str, str]
    part: str
    mentions: tuple[Mention, ...]
    drawn: str | None = None


def read_labels(path: str | os.PathLike[str]) -> list[LabeledReport]:
    """Read a label set, JSON Lines as ``labels.schema.json`` describes them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or a row is against the schema, repeats an id or an entity, or has a mention without
            characters or outside of the sections; names the row and the key.
    """
    labels: list[LabeledReport] = []
    seen: set[str] = set()
    for row, _, raw in iter_lines(existing(path)):
        try:
            record = parse_json(raw)
            require_label_record(record)
            if record["id"] in seen:
                raise ValueError("'id' is that of an earlier row")
        except ValueError as error:
            raise ValueError(f"{path}, row {row}: {error}") from None
        seen.add(record["id"])
        labels.append(LabeledReport(**{**record, "mentions": tuple(Mention(**m) for m in record["mentions"])}))
    if not labels:
        raise ValueError(f"{path} holds no labels")
    return labels


def require_label_record(record: Any) -> None:
    """Refuse a record against the schema, or whose mentions contradict it or each other.

    Raises:
        ValueError: with the key and what is wrong with it.
    """
    if errors := sorted(_validator().iter_errors(record), key=lambda error: error.json_path):
        raise ValueError(f"{_key(errors[0].absolute_path)} breaks {errors[0].validator!r} of labels.schema.json")
    entities: set[str] = set()
    for place, mention in enumerate(record["mentions"]):
        if mention["entity"] in entities:
            raise ValueError(f"'mentions.{place}.entity' repeats {mention['entity']!r}; one label for each entity")
        if mention["section"] not in record["sections"]:
            raise ValueError(f"'mentions.{place}.section' is not among 'sections'")
        if mention["start"] >= mention["end"]:
            raise ValueError(f"'mentions.{place}' ends at {mention['end']}, but starts at {mention['start']}")
        entities.add(mention["entity"])


def text_digest(text: str) -> str:
    """SHA-256 of a section's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_labels(
    labels: Iterable[LabeledReport], reports: Mapping[str, Mapping[str, str]]
) -> tuple[list[LabeledReport], dict[str, str]]:
    """Tell labels of the reports at hand from those of another text, on which nothing could be measured.

    Sections that are not about the image (indication, comparison and the like) may be there without being labeled.

    Args:
        labels: the label set.
        reports: id -> section name -> text.

    Returns:
        The labels that hold, and id -> reason for those set aside.
    """
    good: list[LabeledReport] = []
    aside: dict[str, str] = {}
    for label in labels:
        if (reason := _mismatch(label, reports.get(label.id))) is None:
            good.append(label)
        else:
            aside[label.id] = reason
    return good, aside


def _mismatch(label: LabeledReport, report: Mapping[str, str] | None) -> str | None:
    if report is None:
        return "there is no such report"
    if any(name not in report or text_digest(report[name]) != digest for name, digest in label.sections.items()):
        return "the text is not the one that was labeled"
    others = [name for name, text in report.items() if text.strip() and name not in label.sections]
    if any(_cues().section_kind(name) != "excluded" for name in others):
        return "the report has a section that was not labeled"
    if any(mention.end > len(report[mention.section]) for mention in label.mentions):
        return "a label lies outside of the text"
    return None


def _key(path: Iterable[object]) -> str:
    key = ".".join(map(str, path))
    return repr(key) if key else "the record"


@cache
def _cues() -> CueList:
    return CueList.read()


@cache
def _validator() -> Draft202012Validator:
    text = resources.files(__package__).joinpath("labels.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))
