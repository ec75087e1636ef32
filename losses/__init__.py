# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses, each alone and reusable."""

from __future__ import annotations

if __name__ == "losses":
    raise ImportError("import radbundles.losses, not losses: the folder is part of the package radbundles")

from radbundles.losses.context_super_resolution import ContextSuperResolutionLoss as ContextSuperResolutionLoss
from radbundles.losses.ecamp_objective import ECAMPObjective as ECAMPObjective
from radbundles.losses.masked_image import MaskedImageLoss as MaskedImageLoss
from radbundles.losses.rebalanced_mlm import RebalancedMLMLoss as RebalancedMLMLoss
