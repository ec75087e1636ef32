# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What must be true of a bundle of others before anything of it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radbundles.components.hub.bundles import search_folders
from radbundles.components.hub.manifest import MANIFEST, check_manifest

if TYPE_CHECKING:
    from radbundles.components.audit import AuditFinding

_SHOWN = 5


class UnsoundError(ValueError):
    """A bundle of others that must not be used."""


class ManifestError(UnsoundError):
    """The files of a bundle are not those that were published."""


class AuditError(UnsoundError):
    """A bundle does or names what no bundle may.

    Args:
        name: of the bundle.
        findings: those of the audit that refuse it.
    """

    def __init__(self, name: str, findings: Sequence[AuditFinding]) -> None:
        self.findings = tuple(findings)
        told = "\n".join(f"- {finding}" for finding in self.findings[:_SHOWN])
        rest = f"\n- and {len(self.findings) - _SHOWN} more" if len(self.findings) > _SHOWN else ""
        super().__init__(
            f"the audit refuses bundle {name}, and nothing of it was run:\n{told}{rest}\n"
            "Read it with `radbundles audit`; names that you trust go into `allow`"
        )


def require_sound(folder: Path, *, name: str, allow: Sequence[str] = ()) -> bool:
    """Stop at a bundle that is damaged or that the audit refuses; nothing of it is run or imported.

    Args:
        folder: the bundle.
        name: what errors call it.
        allow: names that the audit shall let pass, see :func:`~radbundles.components.audit.audit_bundle`.

    Returns:
        Whether there was a manifest to compare the files with.

    Raises:
        ManifestError: if the files are not those of the manifest.
        AuditError: if the audit refuses the bundle.
    """
    from radbundles.components.audit import audit_bundle

    listed = (folder / MANIFEST).is_file()
    if listed and (faults := check_manifest(folder)):
        told = "; ".join(faults[:_SHOWN]) + ("; ..." if len(faults) > _SHOWN else "")
        raise ManifestError(f"bundle {name} is not as it was published: {told}")
    report = audit_bundle(folder, allow=allow)
    if not report.passed:
        raise AuditError(name, [finding for finding in report.findings if finding.level == "refuse"])
    return listed


def is_shipped(folder: Path) -> bool:
    """Whether a bundle is one that came with this package."""
    own, _ = search_folders()[-1]
    return folder.resolve().parent == own.resolve()
