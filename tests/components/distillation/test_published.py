# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What is published on the quality of distillation comes from the committed results, and those hold no text."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from typer.testing import CliRunner

from radbundles.cli import data_command, distill_command
from radbundles.cli.app import app
from radbundles.components.distillation import (
    RuleDistiller,
    check_labels,
    distill_datalist,
    judge_distilled,
    part_of,
    quality_table,
    read_labels,
)

assert data_command and distill_command  # importing them adds the commands

RESULTS = Path("docs/results/distillation")
PAGE = Path("docs/distillation_quality.md")


def block(page: str, name: str) -> str:
    match = re.search(rf"<!-- {re.escape(name)} -->\n(.*?)<!-- /{re.escape(name)} -->", page, re.DOTALL)
    assert match is not None
    return match[1].strip()


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["rules", "rules_1.0"])
def test_tables_are_those_of_the_results(name: str, repository: Path) -> None:
    page = (repository / PAGE).read_text(encoding="utf-8")
    assert block(page, name) == quality_table(load(repository / RESULTS / f"{name}.json")["quality"])


def test_figures_of_the_whole_collection_are_those_of_the_results(repository: Path) -> None:
    page = " ".join((repository / PAGE).read_text(encoding="utf-8").split())
    summary = load(repository / RESULTS / "rules_all.json")
    mix = summary["certainty"]
    assert (
        f"{summary['reports']:,} reports with text and {summary['without_report']:,} without: "
        f"{mix['present']:,} entities present, {mix['uncertain']:,} uncertain, {mix['absent']:,} absent"
    ) in page


def test_agreement_of_the_two_readings_is_that_of_their_files(repository: Path) -> None:
    page = " ".join((repository / PAGE).read_text(encoding="utf-8").split())
    first, second = (
        {
            (label.id, mention.entity): mention.certainty
            for label in read_labels(repository / RESULTS / f"labels_openi_reading_{number}.jsonl")
            for mention in label.mentions
        }
        for number in (1, 2)
    )
    either = first.keys() | second.keys()
    agreed = sum(first.get(pair) == second.get(pair) for pair in either)
    assert f"the same certainty for {agreed:,} of {len(either):,} entities" in page
    drawn = Counter(label.drawn for label in read_labels(repository / RESULTS / "labels_openi.jsonl"))
    assert (
        f"{drawn['random']} drawn at random" in page and f"{drawn['enriched']} drawn at random from the others" in page
    )


def test_figures_of_the_small_model_are_those_of_the_results(repository: Path) -> None:
    page = " ".join((repository / PAGE).read_text(encoding="utf-8").split())
    summary = load(repository / RESULTS / "smollm2_135m.json")
    scope = summary["quality"]["scopes"][0]
    f1 = scope["scores"]["all"]["f1"]
    assert (
        f"had {summary['rejected_spans']} of its quotes rejected on the {scope['reports']} shortest labeled reports, "
        f"and F1 {f1['estimate']:.3f} ({f1['low']:.3f} to {f1['high']:.3f}) on their {scope['labels']} labels"
    ) in page


def test_figures_of_the_job_are_those_of_the_results(repository: Path) -> None:
    page = " ".join((repository / "docs" / "distillation_models.md").read_text(encoding="utf-8").split())
    result = load(repository / RESULTS / "job.json")
    asked, cached = result["asked"], result["cached"]
    assert f"Of {result['reports']:,} synthetic reports" in page
    assert f"{asked['reports_per_second']:,.0f} a second when all were asked" in page
    assert f"{asked['memory_mib']['10 %']:.0f} MiB of memory after a tenth of them" in page
    assert f"{asked['memory_mib']['100 %']:.0f} MiB after all" in page
    assert f"{cached['reports_per_second']:,.0f} a second from the cache" in page


def test_label_set_is_split_by_id_and_large_enough(repository: Path) -> None:
    labels = read_labels(repository / RESULTS / "labels_openi.jsonl")
    assert all(label.part == part_of(label.id) for label in labels)
    for part in ("tuning", "held-out"):
        assert sum(len(label.mentions) for label in labels if label.part == part) >= 200


@pytest.fixture(scope="module")
def reports(shared_data: Path) -> dict[str, dict[str, str]]:
    with open(shared_data / "cxr_reports" / "openi_reports.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["uid"]: {name: row[name] for name in ("findings", "impression") if row[name]} for row in rows}


def test_labels_are_of_the_published_texts(reports: dict[str, dict[str, str]], repository: Path) -> None:
    labels = read_labels(repository / RESULTS / "labels_openi.jsonl")
    good, aside = check_labels(labels, reports)
    assert len(good) == len(labels) and not aside


def test_label_set_holds_no_text(reports: dict[str, dict[str, str]], repository: Path) -> None:
    files = sorted((repository / RESULTS).glob("labels_openi*.jsonl"))
    assert len(files) == 3
    for line in "".join(file.read_text(encoding="utf-8") for file in files).splitlines():
        record = json.loads(line)
        words = {word for text in reports[record["id"]].values() for word in re.findall(r"[A-Za-z]+ [A-Za-z]+", text)}
        assert not [pair for pair in words if pair in line]


def test_a_datalist_of_the_builder_is_judged_by_its_studies(
    reports: dict[str, dict[str, str]], repository: Path, tmp_path: Path
) -> None:
    labels = read_labels(repository / RESULTS / "labels_openi.jsonl")[:12]
    for folder in ("ecgen-radiology", "NLMCXR_png"):
        (tmp_path / "OPENI" / folder).mkdir(parents=True)
    for label in labels:
        root = ElementTree.Element("eCitation")
        ElementTree.SubElement(root, "uId", id=label.id)
        for name in ("findings", "impression"):
            ElementTree.SubElement(root, "AbstractText", Label=name.upper()).text = reports[label.id].get(name)
        for image in ("1001", "2001"):
            name = f"{label.id}_IM-0001-{image}"
            ElementTree.SubElement(root, "parentImage", id=name)
            Image.new("L", (8, 8)).save(tmp_path / "OPENI" / "NLMCXR_png" / f"{name}.png")
        path = tmp_path / "OPENI" / "ecgen-radiology" / f"{label.id.removeprefix('CXR')}.xml"
        path.write_bytes(ElementTree.tostring(root))
    datalist = tmp_path / "openi.json"
    built = CliRunner().invoke(app, ["data", "build", "open-i", str(tmp_path / "OPENI"), "--out", str(datalist)])
    assert built.exit_code == 0, built.output
    result = CliRunner().invoke(
        app, ["distill", str(datalist), "--evaluate", str(repository / RESULTS / "labels_openi.jsonl"), "--json"]
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["reports"] == 12  # one image of each study
    scope = summary["quality"]["scopes"][0]
    assert (scope["reports"], scope["without_output"]) == (12, 0)
    assert scope["scores"]["all"]["f1"]["estimate"] > 0.9


def test_rules_still_score_what_is_published(
    reports: dict[str, dict[str, str]], repository: Path, tmp_path: Path
) -> None:
    labels = read_labels(repository / RESULTS / "labels_openi.jsonl")
    datalist = tmp_path / "list.jsonl"
    with open(datalist, "w", encoding="utf-8") as file:
        for label in labels:
            item = {"id": label.id, "split": "training", "image": "x.png", "report": reports[label.id]}
            file.write(json.dumps(item) + "\n")
    distill_datalist(datalist, tmp_path / "out.jsonl", RuleDistiller())
    result = judge_distilled(labels, tmp_path / "out.jsonl", datalist)
    published = load(repository / RESULTS / "rules.json")["quality"]
    assert result["backends"] == published["backends"]
    assert result["scopes"] == published["scopes"]
    held_out = next(s for s in result["scopes"] if (s["part"], s["drawn"]) == ("held-out", None))
    assert held_out["scores"]["all"]["f1"]["estimate"] >= 0.95
