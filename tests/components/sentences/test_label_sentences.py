# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.sentences import label_sentences

SECRET = "smithson effusion"


def item(name: str, split: str = "training", **fields: Any) -> dict[str, Any]:
    return {"id": name, "split": split, "image": f"{name}.png", **fields}


def write_lines(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def run(folder: Path, *rows: dict[str, Any] | str, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    out = folder / "new" / "sentences.jsonl"
    summary = label_sentences(write_lines(folder / "list.jsonl", *rows), out, **options)
    return [json.loads(line) for line in out.read_text().splitlines()], summary


def texts(record: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in record["sentences"]]


def test_record_of_a_report(tmp_path: Path) -> None:
    report = {"indication": "Effusion?", "findings": "There is a small\nleft effusion. There is no edema."}
    (record,), summary = run(tmp_path, item("a", report=report))
    assert record.pop("report_sha256").isalnum()
    assert record == {
        "id": "a",
        "table": "findings",
        "sentences": [
            {"text": "there is a small left effusion", "labels": {"effusion": 1, "no finding": 0, "left": 1}},
            {"text": "there is no edema .", "labels": {"edema": 0, "no finding": 1}},
        ],
        "labels": {"effusion": 1, "edema": 0, "no finding": 0, "left": 1},
    }
    assert {key: summary[key] for key in ("reports", "templates", "sentences", "own_labels", "failures")} == {
        "reports": 1, "templates": 0, "sentences": 2, "own_labels": 0, "failures": 0,
    }  # fmt: skip
    assert summary["values"] == {"present": 3, "uncertain": 0, "absent": 2}
    assert summary["classes"]["effusion"] == {"present": 1}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["sentences.jsonl"]


def test_short_sentence_stays_if_it_says_something(tmp_path: Path) -> None:
    report = {"text": "Normal. Stable. As before. No new line is to be seen"}
    (record,), _ = run(tmp_path, item("a", report=report))
    assert texts(record) == ["normal", "no new line is to be seen"]
    (record,), _ = run(tmp_path, item("a", report=report), minimum_tokens=2)
    assert texts(record) == ["normal", "as before", "no new line is to be seen"]
    (record,), _ = run(tmp_path, item("a", report=report), keep_short=False)
    assert texts(record) == ["no new line is to be seen"]


def test_equal_sentences_stand_once(tmp_path: Path) -> None:
    report = {"findings": "There is no acute process. There is no acute process. x", "impression": "no effusion"}
    (record,), _ = run(tmp_path, item("a", report=report))
    assert texts(record) == ["there is no acute process", "no effusion"]


def test_sections_to_read(tmp_path: Path) -> None:
    report = {"findings": "No effusion.", "conclusion": "Normal."}
    (record,), _ = run(tmp_path, item("a", report=report), report_sections=["conclusion"])
    assert texts(record) == ["normal ."]
    (record,), _ = run(tmp_path, item("a", report=report), report_sections=None)
    assert texts(record) == ["no effusion .", "normal ."]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Effusion. No effusion.", {"effusion": 1, "no finding": 0}),
        ("Possible effusion. No effusion.", {"effusion": -1, "no finding": 0}),
        ("No effusion. The tube is in place.", {"effusion": 0, "tube": 1, "no finding": 1}),
        ("No effusion. Abnormal vasculature.", {"effusion": 0, "no finding": 0}),
        ("The patient is rotated to the left.", {}),
        ("Possible left effusion. Left tube.", {"effusion": -1, "tube": 1, "no finding": 0, "left": 1}),
        ("Tube on the right. No effusion.", {"effusion": 0, "tube": 1, "no finding": 1, "right": 1}),
    ],
)
def test_labels_of_an_item_from_its_sentences(tmp_path: Path, text: str, labels: dict[str, int]) -> None:
    (record,), _ = run(tmp_path, item("a", report={"text": text}))
    assert record["labels"] == labels


def test_own_labels_come_first_and_alone_unless_completed(tmp_path: Path) -> None:
    row = item("a", report={"text": "No edema. Small effusion."}, labels={"Pulmonary edema": 1, "knee": 1})
    (record,), summary = run(tmp_path, row)
    assert record["labels"] == {"edema": 1}
    assert (summary["own_labels"], summary["unknown_labels"]) == (1, {"knee": 1})
    (record,), _ = run(tmp_path, row | {"labels": {**row["labels"], "effusion": -1, "mass": -1}}, complete=True)
    assert record["labels"] == {"edema": 1, "effusion": 1, "mass": -1, "no finding": 0}
    (record,), _ = run(tmp_path, item("a", report={"text": "Right edema."}, labels={"effusion": 1, "left": 1}))
    assert record["labels"] == {"effusion": 1, "left": 1, "right": 1}, "locations are completed always"
    (record,), _ = run(tmp_path, item("a", report={"text": "No edema."}, labels={"knee": 1}))
    assert record["labels"] == {"edema": 0, "no finding": 1}


@pytest.mark.parametrize(
    ("own", "text", "labels"),
    [
        ({"mass": 1}, "No edema.", {"mass": 1, "edema": 0, "no finding": 0}),
        ({"mass": -1}, "No edema.", {"mass": -1, "edema": 0, "no finding": 0}),
        ({"mass": 0, "tube": 1}, "No edema.", {"mass": 0, "tube": 1, "edema": 0, "no finding": 1}),
        ({"no finding": 1}, "Small effusion.", {"no finding": 1, "effusion": 1}),
        ({"no finding": -1}, "No edema.", {"no finding": 1, "edema": 0}),
    ],
)
def test_completed_labels_do_not_deny_what_the_item_has(
    tmp_path: Path, own: dict[str, int], text: str, labels: dict[str, int]
) -> None:
    (record,), _ = run(tmp_path, item("a", report={"text": text}, labels=own), complete=True)
    assert record["labels"] == labels


def test_labels_without_a_report_make_sentences(tmp_path: Path) -> None:
    records, summary = run(
        tmp_path,
        item("a", labels={"Effusion": 1, "Edema": 0}, report={"findings": " "}),
        item("b", labels={"Effusion": -1}),
        item("c"),
        item("d", report={"findings": "Stable."}),
        table="chexpert",
    )
    assert [texts(record) for record in records] == [["there is pleural effusion"], [], [], []]
    assert [record["labels"] for record in records] == [
        {"Edema": 0, "Pleural Effusion": 1},
        {"Pleural Effusion": -1},
        {},
        {},
    ]
    assert (summary["templates"], summary["reports"], summary["without_sentence"]) == (2, 1, 3)


def test_labels_from_chexbert(tmp_path: Path) -> None:
    csv = tmp_path / "labeled.csv"
    csv.write_text("Report Impression,Edema,No Finding\nthere is no edema at all,0,1\nedema is seen at last,1,\n")
    report = {"findings": "There is no edema at all. Edema is seen at last. Nobody has labeled this one."}
    (record,), summary = run(tmp_path, item("a", report=report), table="chexpert", chexbert=csv)
    assert record["sentences"] == [
        {"text": "there is no edema at all", "labels": {"Edema": 0, "No Finding": 1}},
        {"text": "edema is seen at last", "labels": {"Edema": 1}},
    ]
    assert record["labels"] == {"Edema": 1, "No Finding": 0}
    assert (summary["labeler"], summary["not_listed"]) == ("chexbert", 1)


class Failing:
    name = "failing"
    version = "1"

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        if SECRET in report["text"]:
            raise ValueError(report["text"])
        return {"text": "", "entities": []}


def test_bad_rows_are_recorded_without_text_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    records, summary = run(
        tmp_path,
        "{broken",
        item("a", patient="P-777", report={"text": f"There is {SECRET} on the left."}),
        item("b", report={"text": "There is nothing to be seen."}),
        item("b", report={"text": "There is nothing to be seen."}),
        item("c", labels={"Edema": 7}),
        item("d", labels=[1]),
        distillers=[Failing()],
    )
    assert [record["id"] for record in records] == ["b"]
    failures = (tmp_path / "new" / "sentences.jsonl.failures.jsonl").read_text()
    faults = [json.loads(line) for line in failures.splitlines()]
    assert [(fault["row"], fault["id"]) for fault in faults] == [(1, None), (2, "a"), (4, "b"), (5, "c"), (6, "d")]
    assert "failed with ValueError" in faults[1]["reason"] and "'Edema' must be 1, 0 or -1" in faults[3]["reason"]
    everything = "".join([failures, json.dumps(records), json.dumps(summary), caplog.text, *capfd.readouterr()])
    assert "smithson" not in everything and "P-777" not in everything
    assert summary["failures"] == 5


def test_json_datalist_and_own_table(tmp_path: Path) -> None:
    table = {
        "name": "own",
        "entity_lists": ["chest"],
        "classes": [{"name": "Fluid", "phrase": "fluid", "entities": ["effusion"]}],
    }
    (tmp_path / "own.json").write_text(json.dumps(table))
    source = tmp_path / "list.json"
    source.write_text(json.dumps({"test": [{"id": "a", "image": "a.png", "report": {"text": "No effusion."}}]}))
    ticks: list[int] = []
    label_sentences(source, tmp_path / "o.jsonl", table=tmp_path / "own.json", progress=lambda: ticks.append(1))
    record = json.loads((tmp_path / "o.jsonl").read_text())
    assert (record["table"], record["labels"], len(ticks)) == ("own", {"Fluid": 0}, 1)


def test_two_sources_of_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not from both"):
        run(tmp_path, item("a"), distillers=[Failing()], chexbert=tmp_path / "none.csv")
    with pytest.raises(ValueError, match="not 0"):
        run(tmp_path, item("a"), minimum_tokens=0)
    assert not (tmp_path / "new").exists()


def test_real_reports(shared_data: Path, tmp_path: Path) -> None:
    """Reports that indexers called normal are nearly all found normal, and most others are not."""
    rows, normal = [], {}
    for line in (shared_data / "cxr_reports" / "openi_reports.jsonl").read_text(encoding="utf-8").splitlines()[:600]:
        entry = json.loads(line)
        report = {key: entry[key] for key in ("findings", "impression") if entry.get(key)}
        rows.append(item(entry["uid"], report=report))
        normal[entry["uid"]] = entry["mesh_major"] == ["normal"]
    records, summary = run(tmp_path, *rows)
    none = {record["id"]: record["labels"].get("no finding") for record in records if record["sentences"]}
    found = [none[name] == 1 for name, is_normal in normal.items() if is_normal and name in none]
    wrong = [none[name] == 1 for name, is_normal in normal.items() if not is_normal and name in none]
    assert summary["failures"] == 0 and len(none) > 580
    assert sum(found) / len(found) > 0.93
    assert sum(wrong) / len(wrong) < 0.3
