# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit of a bundle that comes from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from radbundles.components.audit.report import AuditFinding, AuditReport


def audit_bundle(folder_or_file: str | os.PathLike[str], *, allow: Sequence[str] = ()) -> AuditReport:
    """Judge a bundle, or one file of a bundle, without running, importing or unpickling anything of it.

    Args:
        folder_or_file: folder of a bundle, or a single config or file of weights.
        allow: exact names to let through beyond the shipped policy: targets, calls, imports, files of the bundle.

    Raises:
        FileNotFoundError: if there is nothing at ``folder_or_file``.
    """
    path = Path(folder_or_file)
    if not path.exists():
        raise FileNotFoundError(f"nothing to audit at {path}")
    findings = [
        AuditFinding("refuse", one.relative_to(path).as_posix(), None, None, "Python code", "use an installed package")
        for one in sorted(path.rglob("*.py"))
        if one.relative_to(path).as_posix() not in allow
    ]
    return AuditReport(path=str(path), findings=tuple(findings))
