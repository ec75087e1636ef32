# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The quality of distilled entities: hand-worked counts, scikit-learn for the rates, plain loops for the intervals."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radbundles.components.data.records import report_sha256
from radbundles.components.distillation import (
    LabeledReport,
    LabelRow,
    RuleDistiller,
    distill_datalist,
    entity_lines,
    error_lines,
    judge_distilled,
    judge_outputs,
    make_labels,
    quality_lines,
    read_labels,
    write_labels,
)
from radbundles.components.distillation.labels import Mention
from radbundles.components.distillation.quality_scores import CERTAINTIES, Unit, scores
from radbundles.components.metrics.bootstrap import resample_counts

DIGEST = "0" * 64
SECRET = "Margarete"


def labeled(name: str, part: str = "tuning", drawn: str | None = None, **certainties: str) -> LabeledReport:
    mentions = [Mention(entity, c, "findings", 10 * i, 10 * i + 5) for i, (entity, c) in enumerate(certainties.items())]
    return LabeledReport(name, {"findings": DIGEST}, part, tuple(mentions), drawn)


def given(entity: str, certainty: str, start: int = 0, section: str = "findings") -> dict[str, Any]:
    evidence = {"section": section, "start": start, "end": start + 5}
    return {"entity": entity, "certainty": certainty, "evidence": evidence, "descriptors": []}


# Report r: one right, one of the wrong certainty, one missed, one invented, one unclear. Report s: nothing given.
LABELS = [
    labeled("r", effusion="present", nodule="uncertain", mass="absent", hernia="unclear"),
    labeled("s", "held-out", effusion="absent"),
]
OUTPUTS = {
    "r": [given("effusion", "present"), given("nodule", "present"), given("hernia", "absent"), given("chf", "absent")]
}


def counts(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["tp"], row["fp"], row["fn"]


def test_each_kind_of_error_is_counted_where_it_belongs() -> None:
    result = judge_outputs(LABELS, OUTPUTS, resamples=10)
    scope = result["scopes"][0]
    each = scope["scores"]

    assert (scope["part"], scope["drawn"], scope["reports"], scope["labels"]) == (None, None, 2, 4)
    assert scope["without_output"] == 1 and result["unclear"] == 1
    assert counts(each["present"]) == (1, 1, 0)
    assert counts(each["uncertain"]) == (0, 0, 1)
    assert counts(each["absent"]) == (0, 1, 2)
    assert counts(each["all"]) == (1, 2, 3)
    assert counts(each["found"]) == (2, 1, 2)
    assert each["certainty_accuracy"]["estimate"] == 1 / 2
    assert scope["confusion"]["uncertain"] == {"present": 1, "uncertain": 0, "absent": 0, "none": 0}
    assert scope["confusion"]["none"]["absent"] == 1 and scope["confusion"]["absent"]["none"] == 2
    assert "hernia" not in scope["entities"]
    assert list(scope["entities"]) == ["effusion", "mass", "nodule", "chf"]  # most labeled first
    effusion = scope["entities"]["effusion"]
    assert (effusion["support"], effusion["present"], effusion["absent"]) == (2, 1, 1)
    assert effusion["f1"] == pytest.approx(2 / 3)
    assert result["errors"] == [
        {"id": "r", "part": "tuning", "entity": "nodule", "labeled": "uncertain", "given": "present"},
        {"id": "r", "part": "tuning", "entity": "mass", "labeled": "absent", "given": None},
        {"id": "r", "part": "tuning", "entity": "chf", "labeled": None, "given": "absent"},
        {"id": "s", "part": "held-out", "entity": "effusion", "labeled": "absent", "given": None},
    ]


def test_a_rate_without_a_denominator_is_none_and_stays_out_of_the_macro_average() -> None:
    each = judge_outputs(LABELS, OUTPUTS, resamples=10)["scopes"][0]["scores"]
    assert each["uncertain"]["precision"] is None and each["uncertain"]["recall"]["estimate"] == 0
    assert each["macro"]["precision"]["estimate"] == pytest.approx((1 / 2 + 0) / 2)
    assert each["macro"]["recall"]["estimate"] == pytest.approx((1 + 0 + 0) / 3)

    nothing = judge_outputs([labeled("r")], {"r": []}, resamples=10)["scopes"][0]["scores"]
    assert nothing["all"]["f1"] is nothing["macro"]["f1"] is nothing["evidence_overlap"] is None


@pytest.mark.parametrize(
    ("start", "section", "overlap"),
    [(0, "findings", 1), (4, "findings", 1), (5, "findings", 0), (0, "impression", 0)],
)
def test_evidence_overlaps_by_a_character_in_the_same_section(start: int, section: str, overlap: int) -> None:
    outputs = {"r": [given("effusion", "present", start, section)]}
    result = judge_outputs([labeled("r", effusion="present")], outputs, resamples=10)
    assert result["scopes"][0]["scores"]["evidence_overlap"]["estimate"] == overlap
    # Evidence of what is wrong anyhow does not count.
    wrong = {"r": [given("effusion", "absent", 0)]}
    other = judge_outputs([labeled("r", effusion="present")], wrong, resamples=10)
    assert other["scopes"][0]["scores"]["evidence_overlap"] is None


def test_parts_and_ways_of_drawing_are_judged_apart() -> None:
    labels = [
        labeled("a", "tuning", "random", effusion="present"),
        labeled("b", "tuning", "enriched", effusion="present"),
        labeled("c", "held-out", "random", effusion="present"),
        labeled("d", "held-out", None, effusion="present"),
    ]
    result = judge_outputs(labels, {name: [given("effusion", "present")] for name in "ac"}, resamples=10)
    recalls = {
        (s["part"], s["drawn"]): (s["reports"], s["scores"]["all"]["recall"]["estimate"]) for s in result["scopes"]
    }
    assert recalls == {
        (None, None): (4, 0.5),
        (None, "enriched"): (1, 0),
        (None, "random"): (2, 1),
        ("held-out", None): (2, 0.5),
        ("held-out", "random"): (1, 1),
        ("tuning", None): (2, 0.5),
        ("tuning", "enriched"): (1, 0),
        ("tuning", "random"): (1, 1),
    }


def test_a_restriction_leaves_out_labels_and_outputs_and_says_so() -> None:
    result = judge_outputs(LABELS, OUTPUTS, entities={"effusion", "nodule"}, resamples=10)
    assert counts(result["scopes"][0]["scores"]["all"]) == (1, 1, 2)
    assert result["judged_entities"] == ["effusion", "nodule"]
    assert result["left_out"] == {"hernia": 1, "mass": 1} and result["unclear"] == 0
    assert "judged on 2 entities; labels on others, left out: 2" in quality_lines(result)


def random_units(reports: int, seed: int) -> list[Unit]:
    rng = random.Random(seed)
    choices = (*CERTAINTIES, None)
    drawn = [(i % reports, f"e{i}", rng.choice(choices), rng.choice(choices), rng.random() < 0.5) for i in range(200)]
    return [Unit(*unit) for unit in drawn if unit[2] or unit[3]]


def test_rates_are_those_of_scikit_learn() -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")
    units = random_units(12, seed=1)
    each = scores(units, 12, resamples=10, seed=0)
    truth, answer = [u.labeled or "none" for u in units], [u.given or "none" for u in units]
    for average, names in ((None, CERTAINTIES), ("micro", ["all"]), ("macro", ["macro"])):
        wanted = metrics.precision_recall_fscore_support(truth, answer, labels=list(CERTAINTIES), average=average)
        for rate, values in zip(("precision", "recall", "f1"), wanted[:3], strict=True):
            assert [each[name][rate]["estimate"] for name in names] == pytest.approx(list(np.atleast_1d(values)))
    found = metrics.precision_recall_fscore_support(
        [bool(u.labeled) for u in units], [bool(u.given) for u in units], average="binary"
    )
    assert [each["found"][rate]["estimate"] for rate in ("precision", "recall", "f1")] == pytest.approx(found[:3])


def test_intervals_draw_whole_reports() -> None:
    units = random_units(12, seed=2)
    each = scores(units, 12, resamples=200, seed=5)
    f1s, accuracies = [], []
    for drawn in np.concatenate(list(resample_counts(12, 200, 5))):
        pairs = [(u.labeled, u.given) for u in units for _ in range(int(drawn[u.report]))]
        tp = sum(labeled == given for labeled, given in pairs)
        f1s.append(2 * tp / sum((labeled is not None) + (given is not None) for labeled, given in pairs))
        accuracies.append(tp / sum(labeled is not None and given is not None for labeled, given in pairs))
    # Of 200 sorted replicates the 95 % interval goes from the 5th to the 195th.
    for rate, replicates in ((each["all"]["f1"], sorted(f1s)), (each["certainty_accuracy"], sorted(accuracies))):
        assert (rate["low"], rate["high"]) == pytest.approx((replicates[4], replicates[194]))
    assert scores(units, 12, resamples=200, seed=6) != each == scores(units, 12, resamples=200, seed=5)


REPORTS = {
    "A1": {"indication": f"{SECRET}: pneumonia?", "findings": f"{SECRET} has a small effusion. No pneumothorax."},
    "B2": {"findings": "There may be a nodule."},
    "C3": {"findings": "No mass."},
}
ROWS = [
    LabelRow("A1", "findings", "effusion", "present", "small effusion"),
    LabelRow("A1", "findings", "pneumothorax", "absent", "No pneumothorax"),
    LabelRow("B2", "findings", "nodule", "uncertain", "may be a nodule"),
    LabelRow("C3", "findings", "mass", "absent", "No mass"),
]


@pytest.fixture(params=[".jsonl", ".json"])
def datalist(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    items = [{"id": name, "image": "x.png", "report": report} for name, report in REPORTS.items()]
    items.append({"id": "unlabeled", "image": "x.png", "report": {"findings": "No chf."}})
    path: Path = tmp_path / f"datalist{request.param}"
    if path.suffix == ".json":
        path.write_text(json.dumps({"training": items[:2], "test": items[2:]}), encoding="utf-8")
    else:
        rows = [json.dumps({**item, "split": "test"}) for item in items]
        path.write_text("\n".join([*rows, '{"id": "C3", broken', "[]", json.dumps({"id": "A1"})]), encoding="utf-8")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> list[LabeledReport]:
    write_labels(tmp_path / "labels.jsonl", make_labels(ROWS, REPORTS, part=lambda name: "held-out"))
    return read_labels(tmp_path / "labels.jsonl")


@pytest.fixture
def distilled(datalist: Path) -> Path:
    path = datalist.with_name("distilled.jsonl")
    distill_datalist(datalist, path, RuleDistiller())
    return path


def rewritten(path: Path, change: dict[str, Any] | None, name: str) -> Path:
    """The file with the record of an id changed, or without it."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [{**r, **(change or {})} if r["id"] == name else r for r in records if r["id"] != name or change is not None]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    return path


def test_a_file_of_the_rules_is_judged(labels: list[LabeledReport], distilled: Path, datalist: Path) -> None:
    result = judge_distilled(labels, distilled, datalist)
    (backend,) = result["backends"]
    assert backend == {"backend": "rules", "version": RuleDistiller().version}
    assert (result["set_aside"], result["missing"], result["errors"]) == ({}, [], [])
    assert counts(result["scopes"][0]["scores"]["all"]) == (4, 0, 0)
    assert result["scopes"][0]["scores"]["evidence_overlap"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_missing_record_counts_as_nothing_found(labels: list[LabeledReport], distilled: Path, datalist: Path) -> None:
    result = judge_distilled(labels, rewritten(distilled, None, "B2"), datalist)
    assert result["missing"] == ["B2"]
    assert counts(result["scopes"][0]["scores"]["all"]) == (3, 0, 1)
    assert "without a record, so nothing found: 1 (B2)" in quality_lines(result)


def test_another_text_is_set_aside(labels: list[LabeledReport], distilled: Path, datalist: Path) -> None:
    datalist.write_text(datalist.read_text(encoding="utf-8").replace("No mass.", "A mass."), encoding="utf-8")
    result = judge_distilled(labels, rewritten(distilled, {"report_sha256": DIGEST}, "B2"), datalist)
    assert result["set_aside"] == {
        "C3": "the text is not the one that was labeled",
        "B2": "the record was made from another text; distill again",
    }
    assert result["missing"] == [] and result["scopes"][0]["reports"] == 1
    assert "set aside, the text is not the one that was labeled: 1 (C3)" in quality_lines(result)


def test_a_set_of_which_nothing_holds_is_refused(labels: list[LabeledReport], distilled: Path, datalist: Path) -> None:
    datalist.write_text('{"test": []}' if datalist.suffix == ".json" else "", encoding="utf-8")
    with pytest.raises(ValueError, match="none of the 3 labeled reports can be judged .*there is no such report: 3"):
        judge_distilled(labels, distilled, datalist)
    with pytest.raises(ValueError, match="no labels"):
        judge_outputs([], {})


def test_a_faulty_record_is_refused_and_others_are_passed_over(
    labels: list[LabeledReport], distilled: Path, datalist: Path
) -> None:
    judge_distilled(labels, rewritten(distilled, {"entities": SECRET}, "unlabeled"), datalist)
    with pytest.raises(ValueError, match=r"line 2: it is not a distilled report \(entities: breaks 'type'\)") as caught:
        judge_distilled(labels, rewritten(distilled, {"entities": SECRET}, "B2"), datalist)
    assert SECRET not in str(caught.value)
    whole = distilled.read_text(encoding="utf-8")
    distilled.write_text(whole[:-1] + "\n" + whole.splitlines()[0], encoding="utf-8")
    rewritten(distilled, {"entities": []}, "B2")
    with pytest.raises(ValueError, match="line 5: there is a record of 'A1' before"):
        judge_distilled(labels, distilled, datalist)
    distilled.write_text('{"id": "A1", "rep', encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: "):
        judge_distilled(labels, distilled, datalist)


def test_records_are_known_by_the_digest_of_the_whole_report(distilled: Path) -> None:
    first = json.loads(distilled.read_text(encoding="utf-8").splitlines()[0])
    assert first["report_sha256"] == report_sha256(REPORTS["A1"])


def test_lines_tell_numbers_and_ids_but_no_text(labels: list[LabeledReport], distilled: Path, datalist: Path) -> None:
    nothing: dict[str, Any] = {"text": "", "entities": []}
    result = judge_distilled(labels, rewritten(distilled, nothing, "B2"), datalist)
    lines = quality_lines(result) + entity_lines(result["scopes"][0]) + error_lines(result)
    assert error_lines(result) == ["B2  nodule: labeled uncertain, given none"]
    assert error_lines(result, "tuning") == []
    (row,) = [line for line in lines if line.startswith("absent")]
    assert row.split()[-3:] == ["2", "0", "0"] and "1.000 (1.000 to 1.000)" in row
    (row,) = [line for line in lines if line.startswith("uncertain")]
    assert row.split()[1] == "-" and row.split()[-3:] == ["0", "0", "1"]
    assert any(line.split() == "nodule 1 0 1 0 0 0 1 0.000".split() for line in lines)
    assert not any(word in "\n".join(lines) for word in (SECRET, "small", "There"))


def test_columns_of_a_table_stand_below_each_other() -> None:
    lines = quality_lines(judge_outputs(LABELS, OUTPUTS, resamples=10))
    heading = next(line for line in lines if line.startswith("tuning") and line.endswith("fn"))
    rows = lines[lines.index(heading) + 1 :][:5]
    assert {len(heading), *map(len, rows)} == {len(heading)}
