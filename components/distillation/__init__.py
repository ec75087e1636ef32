# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Entity-centered distillation: from a report to one short sentence for each entity it speaks of."""

from __future__ import annotations

from radbundles.components.distillation.answer import Answer, Fault, read_answer
from radbundles.components.distillation.entity_file import entity_file
from radbundles.components.distillation.interface import Distiller
from radbundles.components.distillation.job import count_items, distill_datalist
from radbundles.components.distillation.label_table import (
    LabelRow,
    make_labels,
    part_of,
    read_label_table,
    write_labels,
)
from radbundles.components.distillation.labeled_items import find_labeled_items
from radbundles.components.distillation.labels import LabeledReport, check_labels, read_labels
from radbundles.components.distillation.language_model import DistillationError, LanguageModelDistiller
from radbundles.components.distillation.loopback import require_loopback
from radbundles.components.distillation.openai_chat import OpenAIChat
from radbundles.components.distillation.prompt import Prompt
from radbundles.components.distillation.quality import judge_distilled, judge_outputs
from radbundles.components.distillation.quality_lines import entity_lines, error_lines, quality_lines, scope_lines
from radbundles.components.distillation.quality_table import quality_table
from radbundles.components.distillation.rules import RuleDistiller
from radbundles.components.distillation.schema import distilled_schema, record_faults
from radbundles.components.distillation.transformers_chat import TransformersChat

__all__ = [
    "Answer",
    "DistillationError",
    "Distiller",
    "Fault",
    "LabelRow",
    "LabeledReport",
    "LanguageModelDistiller",
    "OpenAIChat",
    "Prompt",
    "RuleDistiller",
    "TransformersChat",
    "check_labels",
    "count_items",
    "distill_datalist",
    "distilled_schema",
    "entity_file",
    "entity_lines",
    "error_lines",
    "find_labeled_items",
    "judge_distilled",
    "judge_outputs",
    "make_labels",
    "part_of",
    "quality_lines",
    "quality_table",
    "read_answer",
    "read_label_table",
    "read_labels",
    "record_faults",
    "require_loopback",
    "scope_lines",
    "write_labels",
]
