# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Verifies bundles: their files without running anything, then what they do on made radiographs."""

from __future__ import annotations

from radbundles.components.verify.finding import Finding
from radbundles.components.verify.running import made_data, verify_bundle, verify_bundles
from radbundles.components.verify.static import STATIC_CHECKS, check_static
from radbundles.components.verify.verdict import CHECKS, Verdict

__all__ = [
    "CHECKS",
    "STATIC_CHECKS",
    "Finding",
    "Verdict",
    "check_static",
    "made_data",
    "verify_bundle",
    "verify_bundles",
]
