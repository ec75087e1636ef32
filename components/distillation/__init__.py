# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Entity-centered distillation: from a report to one short sentence for each entity it speaks of."""

from __future__ import annotations

from radbundles.components.distillation.answer import Answer, Fault, read_answer
from radbundles.components.distillation.entity_file import entity_file
from radbundles.components.distillation.interface import Distiller
from radbundles.components.distillation.job import distill_datalist
from radbundles.components.distillation.prompt import Prompt
from radbundles.components.distillation.rules import RuleDistiller
from radbundles.components.distillation.schema import distilled_schema, record_faults

__all__ = [
    "Answer",
    "Distiller",
    "Fault",
    "Prompt",
    "RuleDistiller",
    "distill_datalist",
    "distilled_schema",
    "entity_file",
    "read_answer",
    "record_faults",
]
