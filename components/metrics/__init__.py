# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite metrics of the objectives: read the output of a MONAI evaluator, averaged over items and processes."""

from __future__ import annotations

from radbundles.components.metrics.images import ImagePSNR, ImageSSIM
from radbundles.components.metrics.losses import LossAverage
from radbundles.components.metrics.mean import EpochMean
from radbundles.components.metrics.regions import to_display, under_mask, under_window
from radbundles.components.metrics.tokens import MaskedTokenAccuracy, MaskedTokenCount

__all__ = [
    "EpochMean",
    "ImagePSNR",
    "ImageSSIM",
    "LossAverage",
    "MaskedTokenAccuracy",
    "MaskedTokenCount",
    "to_display",
    "under_mask",
    "under_window",
]
