# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Entity-centered distillation: from a report to one short sentence for each entity it speaks of."""

from __future__ import annotations

from radbundles.components.distillation.interface import Distiller as Distiller
from radbundles.components.distillation.rules import RuleDistiller as RuleDistiller
