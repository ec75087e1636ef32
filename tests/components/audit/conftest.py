# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles as an attacker would make them; each payload would leave a mark if anything of it ran."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.audit import AuditFinding, AuditReport, audit_bundle

MakeBundle = Callable[..., Path]
HARMLESS: dict[str, Any] = {
    "imports": ["$import os"],
    "bundle_root": ".",
    "output_dir": "./runs",
    "network_def": {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2},
    "run": ["$os.makedirs(@output_dir, exist_ok=True)"],
}


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A path that payloads would make; the test fails if one did."""
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "the payload ran"


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a harmless bundle with the given configs (by name) laid over its own."""

    def make(**configs: dict[str, Any]) -> Path:
        folder = tmp_path / "bundle"
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        (folder / "models").mkdir(exist_ok=True)
        for name, content in {"inference": {}, "metadata": {"version": "0.1.0"}, **configs}.items():
            merged = {**HARMLESS, **content} if name == "inference" else content
            (folder / "configs" / f"{name}.json").write_text(json.dumps(merged, indent=4), encoding="utf-8")
        return folder

    return make


def refused(report: AuditReport) -> list[AuditFinding]:
    """The refused findings, which must be worded for people."""
    for finding in report.refused:
        assert finding.file and finding.message and finding.mend
    return list(report.refused)


def only_refused(folder: Path, **options: Any) -> AuditFinding:
    """The single refused finding of a bundle."""
    found = refused(audit_bundle(folder, **options))
    assert len(found) == 1, [str(finding) for finding in found]
    return found[0]
