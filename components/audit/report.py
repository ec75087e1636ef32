# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What an audit found: the findings, and the list of all that a bundle would name, call, read and load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["refuse", "note"]


@dataclass(frozen=True)
class AuditFinding:
    """One thing in a bundle that is refused, or that its user should know.

    Attributes:
        level: ``"refuse"`` stops the bundle; ``"note"`` does not.
        file: path within the bundle, with slashes.
        key: id of the value in a config, such as ``network_def#_target_``; None for a whole file.
        value: what stands there, shortened; None if the file is the finding.
        message: what is wrong.
        mend: what to do about it.
    """

    level: Level
    file: str
    key: str | None
    value: str | None
    message: str
    mend: str

    def __str__(self) -> str:
        where = self.file if self.key is None else f"{self.file}: {self.key}"
        value = "" if self.value is None else f" = {self.value!r}"
        return f"{where}{value}: {self.message}; {self.mend}"


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights, as far as can be told without loading it.

    Attributes:
        file: path within the bundle.
        kind: ``"safetensors"``, ``"torch"``, ``"torch, legacy"``, ``"pickle"``, ``"TorchScript"``, ...
        pickled: whether reading it runs a pickle machine.
        globals: names that the pickle would import.
    """

    file: str
    kind: str
    pickled: bool
    globals: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """What an audit of one bundle gives.

    Attributes:
        path: the folder or file that was audited.
        findings: refused things first.
        targets: names of ``_target_`` by where they come from: ``"radbundles"``, ``"monai"``, ``"torch"``,
            ``"third party"``, ``"standard library"``, ``"of the bundle"``, ``"computed"``.
        expressions: for each id (``file: key``) of an expression the names that it calls, imports or reads.
        files: paths and addresses that the configs name, each with the ids that name it.
        weights: the files of weights.
    """

    path: str
    findings: tuple[AuditFinding, ...] = ()
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expressions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: tuple[WeightsFile, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is refused."""
        return not self.refused

    @property
    def refused(self) -> tuple[AuditFinding, ...]:
        """The findings that stop the bundle."""
        return tuple(finding for finding in self.findings if finding.level == "refuse")

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values of JSON."""
        return {
            "path": self.path,
            "passed": self.passed,
            "findings": [asdict(finding) for finding in self.findings],
            "targets": {origin: list(names) for origin, names in self.targets.items()},
            "expressions": {where: list(names) for where, names in self.expressions.items()},
            "files": {path: list(places) for path, places in self.files.items()},
            "weights": [asdict(one) | {"globals": list(one.globals)} for one in self.weights],
        }
