# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a trained model: rows of every sample, operating points, calibration, subgroups, one page."""

from __future__ import annotations

from radbundles.components.evaluation.protocol import Evaluation, Evaluator, Facts, SampleTable

__all__ = ["Evaluation", "Evaluator", "Facts", "SampleTable"]
