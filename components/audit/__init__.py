# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges a bundle of others without running any of it; imports neither torch nor MONAI nor what the bundle names."""

from __future__ import annotations

from radbundles.components.audit.audit import audit_bundle
from radbundles.components.audit.report import AuditFinding, AuditReport, WeightsFile

__all__ = ["AuditFinding", "AuditReport", "WeightsFile", "audit_bundle"]
