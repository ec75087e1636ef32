# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network that learned from images and sentences says of an image in words: where a phrase lies, and how well."""

from __future__ import annotations

from radbundles.components.zero_shot.prompt_table import Prompts, PromptTable, prompt_table

__all__ = [
    "PromptTable",
    "Prompts",
    "prompt_table",
]
