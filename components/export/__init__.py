# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of bundles as files that need neither the bundle nor this package; imports neither torch nor MONAI."""

from __future__ import annotations

from radbundles.components.export.export_network import FORMS, Exported, export_network

__all__ = ["FORMS", "Exported", "export_network"]
