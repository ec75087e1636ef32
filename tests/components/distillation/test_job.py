# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.distillation import Distiller, RuleDistiller, distill_datalist, record_faults
from radbundles.components.distillation.job import report_sha256

SECRET = "Smithson effusion"


class Failing:
    """A backend that quotes the report in its error, or gives a record that does."""

    name = "failing"
    version = "1"

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        text = " ".join(report.values())
        if SECRET not in text:
            return {"text": "", "entities": []}
        if self.error is not None:
            raise type(self.error)(text)
        return {"text": text, "entities": [{"quoted": text}]}


def item(name: str, split: str = "training", **fields: Any) -> dict[str, Any]:
    return {"id": name, "split": split, "image": f"{name}.png", **fields}


def write_lines(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    return write_lines(
        tmp_path / "list.jsonl",
        item("a", report={"findings": "Small effusion. No edema."}),
        item("b", report={"findings": "Nothing to say."}, split="test"),
        item("c"),
    )


def test_one_valid_record_for_each_item_in_order(datalist: Path, tmp_path: Path) -> None:
    distiller = RuleDistiller()
    summary = distill_datalist(datalist, tmp_path / "new" / "out.jsonl", distiller)
    records = read_lines(tmp_path / "new" / "out.jsonl")
    assert [record["id"] for record in records] == ["a", "b", "c"]
    assert [record["text"] for record in records] == ["There is effusion. There is no edema.", "", ""]
    assert [record_faults(record) for record in records] == [[], [], []]
    assert records[0]["report_sha256"] == report_sha256({"findings": "Small effusion. No edema."})
    assert {record["version"] for record in records} == {distiller.version}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out.jsonl"]
    counts = {key: summary[key] for key in ("reports", "without_report", "without_entity", "failures", "sentences")}
    assert counts == {"reports": 2, "without_report": 1, "without_entity": 1, "failures": 0, "sentences": 2}
    assert summary["certainty"] == {"present": 1, "uncertain": 0, "absent": 1}
    assert summary["entities"] == {"edema": {"absent": 1}, "effusion": {"present": 1}}


def test_json_datalist_gives_the_same_file(datalist: Path, tmp_path: Path) -> None:
    sections: dict[str, list[dict[str, Any]]] = {"training": [], "validation": [], "test": []}
    for row in read_lines(datalist):
        sections[row.pop("split")].append(row)
    sections["training"], sections["test"] = sections["training"], sections["test"]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(sections))
    distill_datalist(datalist, tmp_path / "1.jsonl", RuleDistiller())
    distill_datalist(path, tmp_path / "2.jsonl", RuleDistiller())
    first, second = (sorted(read_lines(tmp_path / f"{n}.jsonl"), key=lambda r: str(r["id"])) for n in (1, 2))
    assert first == second


def test_digest_does_not_depend_on_the_order_of_sections() -> None:
    assert report_sha256({"a": "1", "b": "2"}) == report_sha256({"b": "2", "a": "1"}) != report_sha256({"a": "1"})


def test_bad_rows_are_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    datalist = write_lines(
        tmp_path / "list.jsonl",
        "{broken",
        item("a", report={"text": "Effusion."}),
        item("a", report={"text": "Edema."}),
        item("b", report={"text": 3}),
        item("c", split="holdout"),
        item("d", report={"text": "Edema."}),
    )
    out = tmp_path / "out.jsonl"
    summary = distill_datalist(datalist, out, RuleDistiller())
    assert [record["id"] for record in read_lines(out)] == ["a", "d"]
    failures = read_lines(tmp_path / "out.jsonl.failures.jsonl")
    assert [(fault["row"], fault["id"]) for fault in failures] == [(1, None), (3, "a"), (4, "b"), (5, None)]
    assert all(fault.keys() == {"row", "id", "reason"} and fault["reason"] for fault in failures)
    assert (summary["failures"], summary["reports"]) == (4, 2)


def test_old_failures_vanish_after_a_good_run(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    distill_datalist(write_lines(tmp_path / "list.jsonl", "{broken"), out, RuleDistiller())
    assert (tmp_path / "out.jsonl.failures.jsonl").is_file()
    summary = distill_datalist(write_lines(tmp_path / "list.jsonl", item("a")), out, RuleDistiller())
    assert not (tmp_path / "out.jsonl.failures.jsonl").exists()
    assert summary["failures_out"] is None


@pytest.mark.parametrize("backend", [Failing(ValueError()), Failing()])
def test_report_text_leaks_nowhere(
    tmp_path: Path, backend: Distiller, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    datalist = write_lines(tmp_path / "list.jsonl", item("a", patient="P-777", report={"text": SECRET}), item("b"))
    summary = distill_datalist(datalist, tmp_path / "out.jsonl", backend)
    failures = (tmp_path / "out.jsonl.failures.jsonl").read_text()
    written = (tmp_path / "out.jsonl").read_text()
    everything = "".join([failures, written, json.dumps(summary), caplog.text, *capfd.readouterr()])
    assert "Smithson" not in everything and "P-777" not in everything
    assert summary["failures"] == 1
    assert [record["id"] for record in read_lines(tmp_path / "out.jsonl")] == ["b"]


def test_interrupted_job_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    datalist = write_lines(tmp_path / "list.jsonl", item("a"), item("b", report={"text": SECRET}))
    out = tmp_path / "out.jsonl"
    out.write_text("old\n")
    with pytest.raises(KeyboardInterrupt):
        distill_datalist(datalist, out, Failing(KeyboardInterrupt()))
    assert out.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.jsonl", "out.jsonl"]


def test_progress_is_told_of_each_row(datalist: Path, tmp_path: Path) -> None:
    ticks: list[int] = []
    distill_datalist(datalist, tmp_path / "out.jsonl", RuleDistiller(), progress=lambda: ticks.append(1))
    assert len(ticks) == 3


def test_datalist_is_never_overwritten(datalist: Path) -> None:
    before = datalist.read_bytes()
    with pytest.raises(ValueError, match="overwrite the datalist"):
        distill_datalist(datalist, datalist, RuleDistiller())
    assert datalist.read_bytes() == before


def test_missing_datalist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        distill_datalist(tmp_path / "none.jsonl", tmp_path / "out.jsonl", RuleDistiller())
    assert list(tmp_path.iterdir()) == []


def test_rule_distiller_fits_the_protocol() -> None:
    assert isinstance(RuleDistiller(), Distiller)
