# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure a distilled file, whoever made it, against a label set."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from radbundles.components.data.lines import existing, iter_lines, line_id, parse_json
from radbundles.components.data.records import report_sha256
from radbundles.components.distillation.labeled_items import find_labeled_items
from radbundles.components.distillation.labels import LabeledReport, Mention, check_labels
from radbundles.components.distillation.quality_scores import Unit, confusion, entity_scores, scores
from radbundles.components.distillation.schema import record_faults


def judge_distilled(
    labels: Sequence[LabeledReport],
    distilled: str | os.PathLike[str],
    datalist: str | os.PathLike[str],
    *,
    entities: Collection[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge the labeled reports of a distilled file; the others of the file are passed over.

    A report whose text is not the one that was labeled, or not the one that was distilled, is set aside. A report
    without a record (its row failed) counts as one of which nothing was found.

    Args:
        labels: the label set.
        distilled: the file to judge.
        datalist: the reports that it was made from.
        entities: names to judge, for a backend or a label set that knows fewer than the other; None for all.
        resamples: number of bootstrap resamples.
        seed: of the draws.

    Returns:
        What :func:`judge_outputs` returns, with ``backends`` (name and version as the records state them),
        ``set_aside`` (id -> reason) and ``missing`` (ids without a record). No text of a report.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file cannot be read, a record breaks ``distilled.schema.json``, or no report is left to judge.
    """
    items = find_labeled_items(labels, datalist)
    reports = {name: item.report for name, item in items.items()}
    names = {item.id: name for name, item in items.items()}
    good, set_aside = check_labels(labels, reports)
    outputs: dict[str, list[dict[str, Any]]] = {}
    backends: set[tuple[str, str]] = set()
    stale: set[str] = set()
    for record in _records(distilled, {items[name].id for name in items.keys() - set_aside.keys()}):
        name = names[record["id"]]
        if record["report_sha256"] != report_sha256(reports[name]):
            set_aside[name] = "the record was made from another text; distill again"
            stale.add(name)
        outputs[name] = record["entities"]
        backends.add((record["backend"], record["version"]))
    good = [label for label in good if label.id not in stale]
    if not good:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in Counter(set_aside.values()).most_common())
        raise ValueError(f"none of the {len(labels)} labeled reports can be judged by {datalist} ({reasons})")
    return {
        "backends": [{"backend": name, "version": version} for name, version in sorted(backends)],
        "set_aside": set_aside,
        "missing": [label.id for label in good if label.id not in outputs],
        **judge_outputs(good, outputs, entities=entities, resamples=resamples, seed=seed),
    }


def judge_outputs(
    labels: Sequence[LabeledReport],
    outputs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    entities: Collection[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge what a backend gave for labeled reports. The unit is an entity of a report.

    An entity whose label is ``unclear`` counts neither for nor against the backend. An entity that the label set
    never uses is a false positive if it is given; leave it out by ``entities`` if nobody labeled it.

    Args:
        labels: labels that :func:`check_labels` let pass.
        outputs: id -> the ``entities`` of the distilled record; an id that is not there gave nothing.
        entities: names to judge, None for all.
        resamples: number of bootstrap resamples.
        seed: of the draws.

    Returns:
        ``scopes``: for all reports, each part, each way they were drawn, and both, an object with ``part`` and
        ``drawn`` (None for any), ``reports``, ``labels``, ``without_output``, ``scores``, ``confusion`` and
        ``entities``. ``errors``: id, part, entity, certainty labeled and given. ``unclear``: labels not counted.
        ``judged_entities``: the names, None for all; ``left_out``: labels on other entities.
    """
    if not labels:
        raise ValueError("there are no labels to judge by")
    units: list[Unit] = []
    left_out: Counter[str] = Counter()
    unclear = 0
    for number, label in enumerate(labels):
        kept = {m.entity: m for m in label.mentions if entities is None or m.entity in entities}
        left_out.update(m.entity for m in label.mentions if m.entity not in kept)
        unclear += sum(mention.certainty == "unclear" for mention in kept.values())
        given = {e["entity"]: e for e in outputs.get(label.id, ()) if entities is None or e["entity"] in entities}
        units.extend(_units(number, kept, given))
    scopes = [
        _scope(labels, units, outputs, part, drawn, resamples=resamples, seed=seed)
        for part, drawn in itertools.product(_with_any(x.part for x in labels), _with_any(x.drawn for x in labels))
        if any(_in_scope(label, part, drawn) for label in labels)
    ]
    wrong = [unit for unit in units if unit.labeled != unit.given]
    return {
        "judged_entities": None if entities is None else sorted(entities),
        "left_out": dict(sorted(left_out.items())),
        "unclear": unclear,
        "resamples": resamples,
        "seed": seed,
        "scopes": scopes,
        "errors": [
            {
                "id": labels[unit.report].id,
                "part": labels[unit.report].part,
                "entity": unit.entity,
                "labeled": unit.labeled,
                "given": unit.given,
            }
            for unit in wrong
        ],
    }


def _units(number: int, labeled: Mapping[str, Mention], given: Mapping[str, Mapping[str, Any]]) -> Iterator[Unit]:
    for name, mention in labeled.items():
        if mention.certainty == "unclear":
            continue
        if (found := given.get(name)) is None:
            yield Unit(number, name, mention.certainty, None)
        else:
            yield Unit(number, name, mention.certainty, found["certainty"], _overlap(mention, found["evidence"]))
    for name, found in given.items():
        if name not in labeled:
            yield Unit(number, name, None, found["certainty"])


def _overlap(mention: Mention, evidence: Mapping[str, Any]) -> bool:
    same = bool(evidence["section"] == mention.section)
    return same and max(evidence["start"], mention.start) < min(evidence["end"], mention.end)


def _scope(
    labels: Sequence[LabeledReport],
    units: Sequence[Unit],
    outputs: Collection[str],
    part: str | None,
    drawn: str | None,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    places = [place for place, label in enumerate(labels) if _in_scope(label, part, drawn)]
    number = {place: running for running, place in enumerate(places)}
    chosen = [unit._replace(report=number[unit.report]) for unit in units if unit.report in number]
    return {
        "part": part,
        "drawn": drawn,
        "reports": len(places),
        "labels": sum(unit.labeled is not None for unit in chosen),
        "without_output": sum(labels[place].id not in outputs for place in places),
        "scores": scores(chosen, len(places), resamples=resamples, seed=seed),
        "confusion": confusion(chosen),
        "entities": entity_scores(chosen),
    }


def _in_scope(label: LabeledReport, part: str | None, drawn: str | None) -> bool:
    return part in (None, label.part) and drawn in (None, label.drawn)


def _with_any(values: Iterable[str | None]) -> list[str | None]:
    return [None, *sorted({value for value in values if value is not None})]


def _records(distilled: str | os.PathLike[str], wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for number, _, raw in iter_lines(existing(distilled)):
        try:
            if (name := line_id(raw)) not in wanted:
                continue
            record = parse_json(raw)
            if faults := record_faults(record):
                raise ValueError(f"it is not a distilled report ({faults[0]})")
            if name in seen:
                raise ValueError(f"there is a record of {name!r} before")
        except ValueError as error:
            raise ValueError(f"{distilled}, line {number}: {error}") from None
        seen.add(record["id"])
        yield record
