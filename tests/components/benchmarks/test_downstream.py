# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from radbundles.components.benchmarks.downstream import SITES, STUDIES, _sources
from radbundles.components.benchmarks.downstream_table import NAMES, markdown, run_name, summarize
from radbundles.components.evaluation import PredictionTable


def write_run(folder: Path, *, pretrained: bool, seed: int, skill: float, ids: str = "abcdefghij") -> None:
    generator = np.random.default_rng(seed)
    truth = np.arange(10) % 2
    logits = skill * (truth - 0.5) + 0.1 * generator.normal(size=10)
    table = PredictionTable(
        task="multilabel",
        classes=("tuberculosis",),
        ids=tuple(ids),
        clusters=np.arange(10) // 2,
        logits=logits[:, None],
        labels=truth[:, None].astype(np.int8),
        groups=({},) * 10,
    )
    table.write(folder / "tuberculosis" / f"{run_name(pretrained=pretrained, fraction=0.1, seed=seed)}.csv")


def test_figures_are_means_over_seeds_with_a_paired_difference(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, pretrained=True, seed=seed, skill=5.0)
        write_run(tmp_path, pretrained=False, seed=seed, skill=5.0 if seed else -5.0)
    found = summarize(tmp_path)["tuberculosis"]["0.1"]
    assert (found["images"], found["patients"], found["seeds"]) == (10, 5, {"pretrained": 2, "scratch": 2})
    assert found["AUROC"]["pretrained"] == [1.0, 1.0, 1.0] and found["AUROC"]["scratch seeds"] == [0.0, 1.0]
    assert found["AUROC"]["scratch"][0] == 0.5 and found["AUROC"]["difference"] == [0.5, 0.5, 0.5]
    row = next(line for line in markdown(summarize(tmp_path)).splitlines() if "AUROC" in line)
    assert "| 10% | AUROC | 1.000 (1.000 to 1.000)" in row and "+0.500 (+0.500 to +0.500)" in row


def test_runs_on_other_images_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, pretrained=True, seed=0, skill=1.0)
    write_run(tmp_path, pretrained=False, seed=0, skill=1.0, ids="klmnopqrst")
    with pytest.raises(ValueError, match="not tested on the same images"):
        summarize(tmp_path)


def test_every_study_has_its_title() -> None:
    assert list(STUDIES) == list(NAMES)


@pytest.mark.parametrize("name", STUDIES)
def test_pre_training_has_seen_no_patient_who_is_tested(name: str, shared_data: Path, tmp_path: Path) -> None:
    study = STUDIES[name]
    seen = {item["patient"] for split, item in _sources(*SITES[study.site])(shared_data, tmp_path) if split != "test"}
    parts: dict[str, set[str]] = {}
    for split, item in study.rows(shared_data, tmp_path):
        parts.setdefault(split, set()).add(item["patient"])
    assert set(parts) == {"training", "validation", "test"}
    assert not parts["test"] & (seen | parts["training"] | parts["validation"])


def test_published_table_is_what_the_command_makes(repository: Path) -> None:
    results = repository / "docs" / "results" / "downstream"
    page = (repository / "docs" / "ecamp_downstream.md").read_text(encoding="utf-8")
    assert markdown(summarize(results)) in page


def test_published_rows_name_nobody(repository: Path) -> None:
    results = repository / "docs" / "results" / "downstream"
    files = [path for path in results.glob("*/*") if path.suffix in (".csv", ".jsonl")]
    assert {path.parent.name for path in files} == set(NAMES)
    for path in files:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        rows = [head, *lines] if path.suffix == ".jsonl" else lines
        ids = [json.loads(row).get("id") if path.suffix == ".jsonl" else row.split(",")[0] for row in rows]
        assert all(re.fullmatch("[0-9a-f]{12}", id) for id in ids if id is not None) and any(ids)
