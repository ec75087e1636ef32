# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of bundles as files that need neither the bundle nor this package; imports neither torch nor MONAI."""

from __future__ import annotations

from radbundles.components.export.export_network import FORMS, Exported, ExportError, export_network
from radbundles.components.export.vendor import Vendored, vendor_bundle

__all__ = ["FORMS", "ExportError", "Exported", "Vendored", "export_network", "vendor_bundle"]
