# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How far the checks of a bundle have come, on disk: what is known of them outlives the process that made them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from radbundles.components.verify.finding import Finding

LOG, _STEPS = "log.txt", "steps.jsonl"


@dataclass
class Progress:
    """What the checks of one process have found.

    Args:
        findings: of all of them.
        skipped: names of checks that were not made, and why.
    """

    findings: list[Finding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, checks: Sequence[str], ended: str | None) -> Progress:
        """Read what a process has written.

        Args:
            folder: that it wrote to.
            checks: that it was to make.
            ended: how the process ended before its time, or None; that is a finding of the check it was at.
        """
        progress, begun, done = cls(), "", set()
        path = folder / _STEPS
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            step = json.loads(line)
            begun = step["check"]
            if "findings" not in step:
                continue
            done.add(begun)
            progress.findings += [Finding(**entry) for entry in step["findings"]]
            if step["skipped"]:
                progress.skipped[begun] = step["skipped"]
        missing = [check for check in checks if check not in done]
        if missing:
            at = begun if begun in missing else missing[0]
            progress.findings.append(_ended(at, ended or "ended without a word", folder / LOG))
            progress.skipped |= {check: f"{at} {ended}" for check in missing if check != at}
        return progress


def begin(folder: Path, check: str) -> None:
    """Write down that a check begins."""
    _write(folder, {"check": check})


def end(folder: Path, check: str, findings: Sequence[Finding], skipped: str | None) -> None:
    """Write down what a check has found."""
    _write(folder, {"check": check, "findings": [asdict(finding) for finding in findings], "skipped": skipped})


def _write(folder: Path, step: dict[str, object]) -> None:
    with (folder / _STEPS).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(step) + "\n")


def _ended(check: str, ended: str, log: Path) -> Finding:
    said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    last = " / ".join(line.strip() for line in said if line.strip())[-400:] if said else "nothing"
    return Finding(
        check=check,
        file="configs",
        key=None,
        value=None,
        message=f"the check {ended}; its last words: {last}",
        mend="run it by hand to see where it stops; if it is too slow, make it smaller in configs/verify.json",
    )
