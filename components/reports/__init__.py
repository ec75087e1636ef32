# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports of a run: a manifest for machines, one self-contained page for people, pictures for TensorBoard."""

from __future__ import annotations

from radbundles.components.reports.bare_config import bare_config, config_sha256
from radbundles.components.reports.blocks import (
    Curve,
    Curves,
    DistilledReport,
    DistilledReports,
    Finding,
    HeatMap,
    HeatMaps,
    ImageGrid,
    KeyFigure,
    Line,
    MaskedReport,
    MaskedText,
    Page,
    Picture,
    Table,
)
from radbundles.components.reports.heat_map import overlay_heat_map
from radbundles.components.reports.manifest import check_manifest, run_manifest, write_manifest
from radbundles.components.reports.page import render_page, write_page
from radbundles.components.reports.panels import PanelStrip, image_panels, no_images
from radbundles.components.reports.phases import Phases
from radbundles.components.reports.report_text import ReportText
from radbundles.components.reports.tokens import Token, mark_tokens

__all__ = [
    "Curve",
    "Curves",
    "DistilledReport",
    "DistilledReports",
    "Finding",
    "HeatMap",
    "HeatMaps",
    "ImageGrid",
    "KeyFigure",
    "Line",
    "MaskedReport",
    "MaskedText",
    "Page",
    "PanelStrip",
    "Phases",
    "Picture",
    "ReportText",
    "Table",
    "Token",
    "bare_config",
    "check_manifest",
    "config_sha256",
    "image_panels",
    "mark_tokens",
    "no_images",
    "overlay_heat_map",
    "render_page",
    "run_manifest",
    "write_manifest",
    "write_page",
]
