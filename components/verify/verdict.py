# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What verification found out about one bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from radbundles.components.verify.finding import Finding

CHECKS = {
    "V1": "files, license, documents",
    "V2": "metadata",
    "V3": "targets, expressions and references of the configs",
    "V4": "every config instantiates",
    "V5": "the network takes and gives what the metadata says",
    "V6": "the exported network answers as the network does",
    "V7": "the weights load, every tensor of them",
    "V8": "training, evaluation and inference run",
}
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one bundle.

    Args:
        name: name of the bundle.
        version: its version, or None where its metadata names none.
        folder: its root.
        findings: what is wrong with it; it passed if there is nothing.
        results: of each check that was asked for: ``passed``, ``failed``, or ``skipped: WHY``.
        seconds: what the checks took.
    """

    name: str
    version: str | None
    folder: Path
    findings: tuple[Finding, ...]
    results: dict[str, str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong. A check that was skipped found nothing: ``results`` says so."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "passed": self.passed,
            "results": self.results,
            "findings": [asdict(finding) for finding in self.findings],
            "seconds": round(self.seconds, 1),
        }


def results_of(asked: list[str], findings: list[Finding], skipped: dict[str, str]) -> dict[str, str]:
    """Return the result of each check that was asked for; what failed has findings, whether or not it was skipped."""
    failed = {finding.check for finding in findings}
    return {
        check: FAILED if check in failed else f"{SKIPPED}: {skipped[check]}" if check in skipped else PASSED
        for check in asked
    }
