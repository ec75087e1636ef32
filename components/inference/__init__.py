# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a trained network tells about an image and its report."""

from __future__ import annotations

from radbundles.components.inference.annotate_windows import (
    WindowSummary,
    annotate_windows,
    report_attention_transform,
)
from radbundles.components.inference.attention_windows import context_windows, entity_attention, entity_heat_map
from radbundles.components.inference.entity_prompts import entity_prompts

__all__ = [
    "WindowSummary",
    "annotate_windows",
    "context_windows",
    "entity_attention",
    "entity_heat_map",
    "entity_prompts",
    "report_attention_transform",
]
