# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: from quotes to places, and back against the reports."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.distillation import (
    LabelRow,
    check_labels,
    make_labels,
    part_of,
    read_label_table,
    read_labels,
    write_labels,
)

FINDINGS = "No effusion. Small nodule, no effusion. Größe normal."
REPORTS = {
    "A1": {"findings": FINDINGS, "impression": "Stable nodule.", "technique": ""},
    "B2": {"impression": "Nothing to tell."},
}
ROWS = [
    LabelRow("A1", "impression", "nodule", "present", "Stable nodule"),
    LabelRow("A1", "findings", "effusion", "absent", "o effusion", 2),
    LabelRow("A1", "findings", "cardiomegaly", "unclear", "Größe normal"),
    LabelRow("B2"),
]


def good_record() -> dict[str, Any]:
    return make_labels(ROWS, REPORTS)[0]


def written(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_quotes_become_places_in_the_order_of_reading_and_no_text_stays() -> None:
    records = make_labels(ROWS, REPORTS, drawn={"A1": "enriched"})

    assert [record["id"] for record in records] == ["A1", "B2"]
    assert records[1]["mentions"] == [] and "drawn" not in records[1] and records[0]["drawn"] == "enriched"
    said = [(m["entity"], REPORTS["A1"][m["section"]][m["start"] : m["end"]]) for m in records[0]["mentions"]]
    assert said == [("effusion", "o effusion"), ("cardiomegaly", "Größe normal"), ("nodule", "Stable nodule")]
    assert records[0]["mentions"][0]["start"] == FINDINGS.rindex("o effusion")
    digests = records[0]["sections"]
    assert digests.keys() == {"findings", "impression"}  # an empty section says nothing
    assert digests["findings"] == hashlib.sha256(FINDINGS.encode()).hexdigest()
    assert not any(word in json.dumps(records, ensure_ascii=False) for word in ("Small", "Stable", "Größe", "Nothing"))


def test_a_written_set_is_read_back_and_holds_for_its_reports(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.jsonl", make_labels(ROWS, REPORTS, drawn={"B2": "random"}))
    labels = read_labels(tmp_path / "labels.jsonl")

    assert [(label.id, label.part, label.drawn) for label in labels] == [
        ("A1", part_of("A1"), None),
        ("B2", part_of("B2"), "random"),
    ]
    assert [mention.certainty for mention in labels[0].mentions] == ["absent", "unclear", "present"]
    assert check_labels(labels, REPORTS) == (labels, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (LabelRow("A1", "findings", "mass", "present", "Secret mass"), "the quote occurs nowhere in 'findings'"),
        (LabelRow("A1", "findings", "mass", "present", "effusion", 3), "occurs 2 times, not 3"),
        (LabelRow("A1", "findings", "mass", "present", "effusion", 0), "no occurrence 0"),
        (LabelRow("A1", "findings", "mass", "present", ""), "the quote is empty"),
        (LabelRow("A1", "Secret", "mass", "present", "effusion"), "no such section"),
        (LabelRow("A1", "findings", "Secret", "present", "effusion"), "no such entity"),
        (LabelRow("A1", "findings", "", "present", "effusion"), "no such entity"),
        (LabelRow("A1", "findings", "mass", "Secret", "effusion"), "the certainty is present, uncertain"),
        (LabelRow("Secret"), "no such report"),
        (LabelRow("A1", "findings", "nodule", "present", "nodule"), "has a label already"),
    ],
)
def test_a_faulty_row_is_named_without_its_words(row: LabelRow, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        make_labels([ROWS[0], row], REPORTS, entities=["nodule", "mass"])
    assert "label 2" in str(caught.value) and "Secret" not in str(caught.value)


def test_all_faulty_rows_are_told_at_once_up_to_ten() -> None:
    rows = [LabelRow("A1", "findings", f"entity {i}", "present", "not there") for i in range(12)]
    with pytest.raises(ValueError, match="label 10 .A1.*\nand 2 more$"):
        make_labels(rows, REPORTS)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match="A1: 'part' breaks 'enum'"):
        make_labels(ROWS, REPORTS, part=lambda name: "training")


def test_half_of_the_ids_are_held_out_always_the_same_ones() -> None:
    parts = [part_of(f"CXR{number}") for number in range(4000)]
    assert set(parts) == {"tuning", "held-out"}
    assert abs(parts.count("tuning") - 2000) < 150
    # The first hexadecimal digit of the digest is even for tuning, which anyone can tell with sha256sum.
    assert all(
        (int(hashlib.sha256(f"CXR{n}".encode()).hexdigest()[0], 16) % 2 == 0) == (parts[n] == "tuning")
        for n in range(99)
    )


def test_a_table_is_read_with_its_occurrences(tmp_path: Path) -> None:
    table = tmp_path / "labels.tsv"
    table.write_bytes(
        "\ufeffA1\tfindings\teffusion\tabsent\to effusion@@2\r\n\r\nB2\t-\n"
        'A1\timpression\tnodule\tpresent\t"Stable" @@ me@home@@'.encode()
    )
    assert read_label_table(table) == [
        LabelRow("A1", "findings", "effusion", "absent", "o effusion", 2),
        LabelRow("B2"),
        LabelRow("A1", "impression", "nodule", "present", '"Stable" @@ me@home@@'),
    ]


@pytest.mark.parametrize(
    ("row", "reason"), [(b"A1\tsecret\tx", "row 2: 3 columns"), (b"A1\t\xff", "row 2 is not UTF-8")]
)
def test_a_row_of_another_form_is_refused(tmp_path: Path, row: bytes, reason: str) -> None:
    (tmp_path / "labels.tsv").write_bytes(b"B2\t-\n" + row)
    with pytest.raises(ValueError, match=reason) as caught:
        read_label_table(tmp_path / "labels.tsv")
    assert "secret" not in str(caught.value)


def changed(**changes: Any) -> dict[str, Any]:
    return {**good_record(), **changes}


def mentioned(*changes: dict[str, Any]) -> dict[str, Any]:
    return changed(mentions=[{**good_record()["mentions"][0], **change} for change in changes])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "the record breaks 'type'"),
        (changed(part="test"), "'part' breaks 'enum'"),
        (changed(drawn="by hand"), "'drawn' breaks 'enum'"),
        (changed(sections={"findings": "abc"}), "'sections.findings' breaks 'pattern'"),
        (changed(sections={}), "'sections' breaks 'minProperties'"),
        (changed(text="a report"), "the record breaks 'additionalProperties'"),
        (mentioned({"quote": "a report"}), "'mentions.0' breaks 'additionalProperties'"),
        (mentioned({"certainty": "maybe"}), "'mentions.0.certainty' breaks 'enum'"),
        (mentioned({"start": -1}), "'mentions.0.start' breaks 'minimum'"),
        (mentioned({"start": 30, "end": 30}), "'mentions.0' ends at 30, but starts at 30"),
        (mentioned({"section": "history"}), "'mentions.0.section' is not among 'sections'"),
        (mentioned({}, {"start": 0}), "'mentions.1.entity' repeats 'effusion'"),
        ({"id": "A1"}, "the record breaks 'required'"),
    ],
)
def test_a_record_against_the_schema_is_refused_with_row_and_key(tmp_path: Path, record: Any, reason: str) -> None:
    path = written(tmp_path / "labels.jsonl", make_labels(ROWS, REPORTS)[1], record)
    with pytest.raises(ValueError) as caught:
        read_labels(path)
    assert f"row 2: {reason}" in str(caught.value) and "a report" not in str(caught.value)


def test_a_repeated_id_a_broken_row_an_empty_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 2: 'id' is that of an earlier row"):
        read_labels(written(tmp_path / "twice.jsonl", good_record(), good_record()))
    (tmp_path / "broken.jsonl").write_text('{"id": "A1"', encoding="utf-8")
    with pytest.raises(ValueError, match="row 1: "):
        read_labels(tmp_path / "broken.jsonl")
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(written(tmp_path / "empty.jsonl"))
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "there is no such report"),
        ({**REPORTS["A1"], "findings": FINDINGS + " "}, "the text is not the one that was labeled"),
        ({"findings": FINDINGS}, "the text is not the one that was labeled"),
        ({**REPORTS["A1"], "addendum": "New effusion."}, "the report has a section that was not labeled"),
        ({**REPORTS["A1"], "Clinical History": "Effusion?", "addendum": " "}, None),
    ],
)
def test_labels_of_another_text_are_set_aside(
    tmp_path: Path, report: dict[str, str] | None, reason: str | None
) -> None:
    labels = read_labels(written(tmp_path / "labels.jsonl", good_record()))
    good, aside = check_labels(labels, {} if report is None else {"A1": report})
    assert (good, aside) == ((labels, {}) if reason is None else ([], {"A1": reason}))


def test_a_label_beyond_the_text_is_set_aside(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path / "labels.jsonl", mentioned({"end": len(FINDINGS) + 1})))
    assert check_labels(labels, REPORTS) == ([], {"A1": "a label lies outside of the text"})
