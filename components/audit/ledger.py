# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Gathers what the parts of an audit find, each thing once and bounded."""

from __future__ import annotations

from collections.abc import Iterable

from radbundles.components.audit.report import AuditFinding, AuditReport, Level, WeightsFile
from radbundles.components.hub.printable import printable

# A hostile bundle could hold a million faults; the first of a file tell enough.
MAX_FINDINGS = 1000


class Ledger:
    """Takes findings and facts of one audit."""

    def __init__(self) -> None:
        self.findings: dict[AuditFinding, None] = {}
        self.refused = False
        self.targets: dict[str, dict[str, None]] = {}
        self.expressions: dict[str, tuple[str, ...]] = {}
        self.paths: dict[str, dict[str, None]] = {}
        self.weights: list[WeightsFile] = []

    def refuse(self, file: str, key: str | None, value: str | None, message: str, mend: str) -> None:
        """Take a finding that stops the bundle."""
        self._find("refuse", file, key, value, message, mend)

    def note(self, file: str, key: str | None, value: str | None, message: str, mend: str) -> None:
        """Take a finding that does not stop it."""
        self._find("note", file, key, value, message, mend)

    def _find(self, level: Level, file: str, key: str | None, value: str | None, message: str, mend: str) -> None:
        # Beyond the bound nothing is kept but the first thing that refuses the bundle, so that it stays refused.
        if len(self.findings) >= MAX_FINDINGS and (level != "refuse" or self.refused):
            return
        short = None if key is None else printable(key), None if value is None else printable(value)
        self.findings.setdefault(AuditFinding(level, printable(file), *short, printable(message), printable(mend)))
        self.refused = self.refused or level == "refuse"

    def target(self, origin: str, name: str) -> None:
        """Take the name of a ``_target_``."""
        self.targets.setdefault(origin, {}).setdefault(printable(name))

    def expression(self, where: str, uses: Iterable[str]) -> None:
        """Take what an expression calls, imports and reads."""
        self.expressions[printable(where)] = tuple(dict.fromkeys(printable(use) for use in uses))

    def path(self, path: str, where: str) -> None:
        """Take a path or an address that a config names."""
        self.paths.setdefault(printable(path), {}).setdefault(printable(where))

    def report(self, path: str) -> AuditReport:
        """Return everything, refused things first."""
        return AuditReport(
            path=path,
            findings=tuple(sorted(self.findings, key=lambda finding: finding.level != "refuse")),
            targets={origin: tuple(sorted(names)) for origin, names in sorted(self.targets.items())},
            expressions=self.expressions,
            files={path: tuple(places) for path, places in sorted(self.paths.items())},
            weights=tuple(_plainly(one) for one in self.weights),
        )


def _plainly(file: WeightsFile) -> WeightsFile:
    return WeightsFile(printable(file.file), file.kind, file.pickled, tuple(map(printable, file.globals)))
