# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Backend of entity-centered distillation that asks a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbundles.components.distillation.chat import ChatModel
from radbundles.components.distillation.prompt import Prompt
from radbundles.components.distillation.talks import Talks


class DistillationError(Exception):
    """A report that the model did not distill; the message holds no text of report or reply."""


class LanguageModelDistiller:
    """Distill reports with a language model.

    Source: ECAMP section 2 of the method, whose authors asked a language model offline and published neither prompt nor
    checks. Here the model must quote the report for each finding; what it cannot quote is dropped.

    Args:
        model: that is asked. Whoever made it closes it.
        prompt: how it is asked.
        attempts: replies to one report, the first one included; the others are asked to mend the one before.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, *, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts}")
        self.model, self.prompt, self.attempts = model, prompt, attempts
        self.name = model.backend
        self.version = f"{model.model}+{prompt.name}-{prompt.version}.{prompt.sha256[:8]}"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What decides about an answer besides the report: digest of the prompt, kind of model, its name."""
        return self.prompt.sha256, self.model.backend, self.model.model

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        """Distill one report.

        Args:
            report: section name -> text, in the order of reading.

        Returns:
            ``{"text": str, "entities": [...]}``; without a request if the report has nothing to ask about.

        Raises:
            DistillationError: if the model gave no usable answer.
            ChatUnavailableError: if it can give none to any report.
        """
        if not self.prompt.has_text(report):
            return {"text": "", "entities": []}
        talks = self.talks()
        talks.start("", report)
        _, outcome = talks.next()
        if outcome.output is None:
            raise DistillationError(outcome.reason)
        return outcome.output

    def talks(self) -> Talks[str]:
        """Conversations with this model, for many reports at a time."""
        return Talks(self.model, self.prompt, attempts=self.attempts)
