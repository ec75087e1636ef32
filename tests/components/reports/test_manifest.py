# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Run manifest: content, schema, and nothing that names a machine."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from radbundles.components.reports import Phases, check_manifest, manifest, run_manifest, write_manifest


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    """Manifest of a made-up run."""
    datalist = tmp_path / "hospital" / "datalist.json"
    datalist.parent.mkdir()
    datalist.write_bytes(b"{}" * 700_000)
    phases = Phases()
    with phases("train"):
        pass
    return run_manifest(
        "ecamp_pretrain",
        config={"dataset_dir": str(datalist.parent), "epochs": 2, "dataset": {"data": f"$load('{datalist}')"}},
        seeds={"run": 7},
        files={"datalist": datalist},
        phases=phases,
        metrics={"loss": 0.5, "entity_accuracy": math.nan, "psnr": math.inf, "tokens": 3},
    )


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(manifest._validator().schema)


def test_written_manifest_reads_back_and_fits(made: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out" / "run.json"
    write_manifest(path, made)
    assert json.loads(path.read_text(encoding="utf-8")) == made
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]


def test_file_is_known_by_last_name_size_and_hash(made: dict[str, Any]) -> None:
    digest = hashlib.sha256(b"{}" * 700_000).hexdigest()
    assert made["files"] == {"datalist": {"name": "datalist.json", "bytes": 1_400_000, "sha256": digest}}


def test_no_folder_of_the_machine_is_told(made: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(made)
    assert str(tmp_path) not in text and tmp_path.name not in text
    assert not re.search(r"[\"' ](/|[A-Z]:\\\\)\w", text)
    assert made["config"] == {"dataset_dir": "hospital", "epochs": 2, "dataset": {"data": "$load('datalist.json')"}}


def test_numbers_that_are_not_finite_become_null(made: dict[str, Any]) -> None:
    assert made["metrics"] == {"loss": 0.5, "entity_accuracy": None, "psnr": None, "tokens": 3.0}


def test_run_is_described(made: dict[str, Any]) -> None:
    assert {"python", "radbundles", "torch", "monai", "numpy", "pytorch-ignite"} <= set(made["versions"])
    assert made["machine"]["device"] == "cpu" and made["machine"]["threads"] >= 1
    assert made["peak_memory"]["process"] > 50 * 2**20  # an interpreter with torch in it
    assert made["peak_memory"]["device"] is None
    assert list(made["seconds"]) == ["train"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"config_sha256": "short"}, r"\$.config_sha256"),
        ({"patient": "x"}, "patient"),
        ({"metrics": {"loss": "low"}}, r"\$.metrics.loss"),
        ({"status": "perhaps"}, r"\$.status"),
        ({"files": {"datalist": {"name": "a/b.json", "bytes": 1, "sha256": "0" * 64}}}, r"\$.files.datalist.name"),
    ],
)
def test_faulty_manifest_is_refused_and_the_place_named(
    made: dict[str, Any], change: dict[str, Any], place: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=place):
        check_manifest({**made, **change})
    with pytest.raises(ValueError, match=place):
        write_manifest(tmp_path / "run.json", {**made, **change})
    assert not (tmp_path / "run.json").exists()


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_manifest("x", config={}, seeds={}, files={"a": tmp_path / "none"}, phases=Phases(), metrics={})


def test_phases_add_up_and_count_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    phases = Phases()
    with phases("read"):
        pass
    with pytest.raises(RuntimeError), phases("train"):
        raise RuntimeError
    with phases("read"):
        pass
    assert phases.seconds == {"read": 6.0, "train": 2.0}
