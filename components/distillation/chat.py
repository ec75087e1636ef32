# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a language model has to offer: take a conversation, promise a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict


class Message(TypedDict):
    """One turn of a conversation, as chat templates and OpenAI-compatible servers take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: the reply.
        complete: False if the model was cut off at its token limit.
        prompt_tokens: tokens of the conversation, 0 if the server does not tell.
        completion_tokens: tokens of the reply, likewise.
    """

    text: str
    complete: bool = True
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatError(Exception):
    """No reply to this conversation; others may fare better. The message holds no text of the conversation."""


class ConversationError(ChatError):
    """The model turned this conversation down and would do so again: too long, refused. A sign that it lives."""


class ChatUnavailableError(Exception):
    """No reply to anything: no server, a wrong key, an unknown model. The message says what to mend."""


class ChatModel(Protocol):
    """A language model that answers several conversations at a time.

    Attributes:
        backend: short name of the kind of model, written to every record as ``backend``.
        model: name of the model itself; part of the version of every record and of the key of cached answers.
        slots: conversations that can be under way at a time.
    """

    backend: str
    model: str
    slots: int

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        """Ask for a reply.

        Args:
            messages: the conversation so far, ending with a turn of the user.
            schema: JSON Schema that the reply should meet; a model that cannot be held to it replies freely.

        Returns:
            A future that yields the reply, or raises :class:`ChatError` (this conversation failed) or
            :class:`ChatUnavailableError` (all would fail).
        """
        ...

    def close(self) -> None:
        """Drop what is under way and free connections and threads."""
        ...
