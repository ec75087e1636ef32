# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Thousands of real reports: nothing breaks, every record is valid, every span holds what it claims."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from radbundles.components.distillation import RuleDistiller, distill_datalist, entity_file, record_faults
from radbundles.components.distillation.lexicon import read_list
from radbundles.components.distillation.sentences import words_of

SECTIONS = ("indication", "findings", "impression")


@pytest.fixture(scope="module")
def reports(shared_data: Path) -> dict[str, dict[str, str]]:
    with open(shared_data / "cxr_reports" / "openi_reports.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["uid"]: {section: row[section] for section in SECTIONS if row[section]} for row in rows}


def test_records_are_valid_and_spans_hold_a_form(reports: dict[str, dict[str, str]]) -> None:
    content, _ = read_list(entity_file("chest"))
    phrases: dict[str, set[str]] = {entity["name"]: set(entity["forms"]) for entity in content["entities"]}
    for entry in content["structures"]:
        for name in entry["entities"]:
            phrases[name] |= set(entry["terms"])
    for entry in content["statements"]:
        for name in entry["absent"]:
            phrases[name] |= set(entry["phrases"]) | set(entry.get("alone", ()))
    surfaces = {name: {" ".join(words_of(phrase)) for phrase in found} for name, found in phrases.items()}
    distiller = RuleDistiller()
    for name, report in list(reports.items())[::10]:
        output = distiller.distill(report)
        record = {"id": name, "report_sha256": "0" * 64, **output, "backend": "rules", "version": "1"}
        assert record_faults(record) == [], name
        for entity in output["entities"]:
            evidence = entity["evidence"]
            span = " ".join(words_of(report[evidence["section"]][evidence["start"] : evidence["end"]]))
            assert any(f" {surface} " in f" {span} " for surface in surfaces[entity["entity"]]), (name, entity)


def test_most_reports_with_text_speak_of_an_entity(reports: dict[str, dict[str, str]]) -> None:
    distiller = RuleDistiller()
    described = [report for report in reports.values() if {"findings", "impression"} & report.keys()]
    assert len(described) > 2500
    empty = sum(not distiller.distill(report)["entities"] for report in described[::3])
    assert empty < 0.02 * len(described[::3])


def test_job_is_fast(reports: dict[str, dict[str, str]], tmp_path: Path) -> None:
    datalist = tmp_path / "list.jsonl"
    rows = ({"id": k, "split": "training", "image": "x.png", "report": v} for k, v in list(reports.items())[::2])
    datalist.write_text("".join(json.dumps(row) + "\n" for row in rows))
    distiller = RuleDistiller()
    began = time.process_time()
    summary = distill_datalist(datalist, tmp_path / "out.jsonl", distiller)
    seconds = time.process_time() - began
    assert summary["failures"] == 0
    # Over 2,000 a second on one core of a 2020 server; half of that leaves room for a slow or busy machine.
    assert summary["reports"] / seconds > 1000
