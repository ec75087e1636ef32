# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cut every report of a datalist into sentences and label each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from radbundles.components.data.records import RowError, write_records
from radbundles.components.data.section import Item
from radbundles.components.distillation import Distiller
from radbundles.components.sentences.chexbert_labels import ChexbertLabels
from radbundles.components.sentences.rule_labels import RuleLabels
from radbundles.components.sentences.template_sentences import template_sentences
from radbundles.transforms import REPORT_SECTIONS, split_sentences
from radbundles.transforms.label_table import LabelTable, label_table
from radbundles.transforms.report_sentences import OFFICIAL_MINIMUM

_RANK = {0: 0, -1: 1, 1: 2}
_VALUES = {1: "present", -1: "uncertain", 0: "absent"}


def label_sentences(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    table: LabelTable | str | os.PathLike[str] = "findings",
    distillers: Sequence[Distiller] | None = None,
    chexbert: str | os.PathLike[str] | None = None,
    minimum_tokens: int = OFFICIAL_MINIMUM,
    keep_short: bool = True,
    complete: bool = False,
    report_sections: Sequence[str] | None = REPORT_SECTIONS,
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Write the labeled sentences of all items of a datalist, one record a line in its order.

    A record is ``{"id", "report_sha256", "table", "sentences": [{"text", "labels"}], "labels"}``. The labels of an
    item are its own, by the names of the table; an item without any that the table knows has those of its sentences:
    present beats uncertain beats absent, and "no finding" is present if a sentence says so and none names a finding.
    Locations are always those of the sentences; where nothing is named, none is labeled.
    An item with labels and no report gets template sentences; one with neither has none. Each sentence of a report
    stands once. Files and faults as in :func:`~radbundles.components.data.records.write_records`.

    Source: DCXFM (official sentence dictionary); it keeps no sentence of fewer than 5 tokens.

    Args:
        datalist: JSON or JSON Lines datalist.
        out: file to write, JSON Lines.
        table: a label table, its name, or the path of its file.
        distillers: backends that read the labels of a sentence; by default the rules with the table's entity lists.
        chexbert: table of CheXbert to look labels up in instead; a sentence that is not in it is left out.
        minimum_tokens: see :func:`~radbundles.transforms.split_sentences`.
        keep_short: keep a shorter sentence if it says something about a class, such as "normal".
        complete: let the sentences also label the classes that an item's own labels leave unknown (-1 or not there).
        report_sections: names and order of the sections to read; None reads all in the report's own order.
        progress: called after each row.

    Returns:
        Summary: counts of items, sentences and labels, label names that the table does not know, failures, rate.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if both ``distillers`` and ``chexbert`` are given, or a file is not what it should be.
    """
    if distillers is not None and chexbert is not None:
        raise ValueError("labels come from distillers or from a CheXbert table, not from both")
    table = table if isinstance(table, LabelTable) else label_table(table)
    labeler = RuleLabels(table, distillers) if chexbert is None else ChexbertLabels(chexbert, table)
    split_sentences("", minimum_tokens=minimum_tokens)  # refuses what the minimum may not be
    counts: Counter[str] = Counter()
    values: Counter[str] = Counter(present=0, uncertain=0, absent=0)
    by_class: dict[str, Counter[str]] = {}
    unknown: Counter[str] = Counter()

    def read(texts: Sequence[str]) -> list[dict[str, Any]]:
        sentences = []
        for sentence in dict.fromkeys(found for text in texts for found in split_sentences(text, minimum_tokens=1)):
            short = sentence.count(" ") + 1 < minimum_tokens
            if short and not keep_short:
                continue
            try:
                labels = labeler(sentence)
            except Exception as error:  # a backend's message may quote the report: only the kind of error is kept
                raise RowError(f"labeling by {labeler.name} failed with {type(error).__name__}") from None
            if labels is None:
                counts["not_listed"] += not short
            elif labels or not short:
                sentences.append({"text": sentence, "labels": labels})
        return sentences

    def make(item: Item) -> dict[str, Any]:
        own = item.get("labels", {})
        try:
            labels = table.resolve(own)
        except ValueError as error:
            raise RowError(str(error)) from None
        report = item.get("report", {})
        names = report if report_sections is None else report_sections
        if texts := [text for name in names if (text := " ".join(report.get(name, "").split()))]:
            sentences, kind = read(texts), "reports"
        else:
            sentences, kind = template_sentences(table, labels), "templates" if labels else "neither"
        counts[kind] += 1
        counts["sentences"] += len(sentences)
        counts["without_sentence"] += not sentences
        counts["own_labels"] += bool(labels)
        if texts and (complete or not labels):
            labels = _with_sentences(labels, sentences, table)
        if texts:
            labels |= _locations(sentences, table)
        unknown.update(table.unknown_names(own))
        for entry in sentences:
            for name, value in entry["labels"].items():
                values[_VALUES[value]] += 1
                by_class.setdefault(name, Counter())[_VALUES[value]] += 1
        return {"table": table.name, "sentences": sentences, "labels": labels}

    written = write_records(datalist, out, make, progress=progress)
    return {
        "out": written.out,
        "failures_out": written.failures_out,
        "table": table.name,
        "labeler": labeler.name,
        "version": labeler.version,
        "reports": counts["reports"],
        "templates": counts["templates"],
        "without_sentence": counts["without_sentence"],
        "own_labels": counts["own_labels"],
        "failures": written.failures,
        "sentences": counts["sentences"],
        "not_listed": counts["not_listed"],
        "values": dict(values),
        "classes": {name: dict(by_class[name]) for name in table.names if name in by_class},
        "unknown_labels": dict(sorted(unknown.items())),
        "seconds": round(written.seconds, 3),
        "reports_per_second": round(counts["reports"] / written.seconds, 1) if written.seconds else 0.0,
    }


def _with_sentences(
    own: Mapping[str, int], sentences: Sequence[Mapping[str, Any]], table: LabelTable
) -> dict[str, int]:
    """Labels of an item, those that are unknown taken from what its sentences say together."""
    said: dict[str, int] = {}
    normal: set[int] = set()  # what the sentences say of "no finding", on which all must agree
    none = None if table.no_finding is None else table.names[table.no_finding]
    for entry in sentences:
        for name, value in entry["labels"].items():
            if name == none:
                normal.add(value)
            elif name not in said or _RANK[value] > _RANK[said[name]]:
                said[name] = value
    labels = {**own, **said, **{name: value for name, value in own.items() if value != -1}}
    if none is not None and normal and own.get(none, -1) == -1:
        kept = {none, *(table.names[place] for place in (*table.supports, *table.locations))}
        found = any(value != 0 for name, value in labels.items() if name not in kept)
        labels[none] = int(normal == {1} and not found)
    return labels


def _locations(sentences: Sequence[Mapping[str, Any]], table: LabelTable) -> dict[str, int]:
    """Where the sentences place anything; present beats uncertain."""
    places = {}
    for name in (table.names[place] for place in table.locations):
        values = {entry["labels"].get(name) for entry in sentences}
        if found := values & {1, -1}:
            places[name] = max(found)
    return places
