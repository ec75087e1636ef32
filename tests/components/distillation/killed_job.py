# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A job in a process of its own, to be killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.components.distillation.scripted_model import PROMPT

from radbundles.components.distillation import LanguageModelDistiller, OpenAIChat, distill_datalist

SHARD = 20


def server_job(url: str, datalist: Path, out: Path, slots: int = 8, **options: Any) -> dict[str, Any]:
    """Distill by the model of a server."""
    chat = OpenAIChat(url, slots=slots)
    try:
        distiller = LanguageModelDistiller(chat, PROMPT)
        return distill_datalist(datalist, out, distiller, shard_size=SHARD, **options)
    finally:
        chat.close()
