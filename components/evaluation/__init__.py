# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a trained model: rows of every sample, operating points, calibration, subgroups, one page."""

from __future__ import annotations

from radbundles.components.evaluation.facts import sample_facts, subgroup_rows
from radbundles.components.evaluation.protocol import Evaluation, Evaluator, Facts, SampleTable
from radbundles.components.evaluation.result import as_json, bounds, read_json, write_json

__all__ = [
    "Evaluation",
    "Evaluator",
    "Facts",
    "SampleTable",
    "as_json",
    "bounds",
    "read_json",
    "sample_facts",
    "subgroup_rows",
    "write_json",
]
