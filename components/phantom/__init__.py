# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Embedded default data: procedural chest radiographs with reports, masks, boxes and labels that are known exactly."""

from __future__ import annotations

from radbundles.components.phantom.findings import NAMES, Finding, draw_findings
from radbundles.components.phantom.patient import Exam, Patient, draw_exam, draw_patient
from radbundles.components.phantom.render import Phantom, render_phantom
from radbundles.components.phantom.report import Report, write_report
from radbundles.components.phantom.write import write_phantoms

__all__ = [
    "NAMES",
    "Exam",
    "Finding",
    "Patient",
    "Phantom",
    "Report",
    "draw_exam",
    "draw_findings",
    "draw_patient",
    "render_phantom",
    "write_phantoms",
    "write_report",
]
