# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Conversations with a language model, several under way at a time, each led to an answer or a reason why not."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from operator import add
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from radbundles.components.distillation.answer import read_answer
from radbundles.components.distillation.chat import (
    ChatError,
    ChatModel,
    ChatUnavailableError,
    ConversationError,
    Message,
    Reply,
)
from radbundles.components.distillation.prompt import Prompt

_ENOUGH = 16  # conversations in a row without a reply, or twice the slots: the model is gone, not the reports hard

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tally:
    """What it took to distill one report.

    Args:
        requests: replies asked for, repairs included.
        prompt_tokens: tokens of the conversations, 0 if the model does not tell.
        completion_tokens: tokens of the replies, likewise.
        rejected_spans: quotes, in all replies, that do not occur in the report.
        rejected_descriptors: descriptors, likewise.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejected_spans: int = 0
    rejected_descriptors: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*map(add, self.values(), other.values()))

    def values(self) -> tuple[int, int, int, int, int]:
        """The five numbers, in the order of the arguments."""
        return (
            self.requests,
            self.prompt_tokens,
            self.completion_tokens,
            self.rejected_spans,
            self.rejected_descriptors,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a conversation ended: with an output or with a reason, never both.

    Args:
        output: ``{"text", "entities"}`` as ``distilled.schema.json`` describes them.
        reason: why there is none; holds no text of report or reply.
        tally: what it took.
    """

    output: dict[str, Any] | None
    reason: str | None
    tally: Tally = Tally()


@dataclass(slots=True)
class _Talk(Generic[Key]):
    key: Key
    report: Mapping[str, str]
    messages: list[Message]
    tally: Tally = Tally()
    output: dict[str, Any] | None = None
    """The best so far."""


class Talks(Generic[Key]):
    """Conversations under way, as many as the model has slots.

    A faulty reply is sent back with what to mend in it, until the attempts are used up. Then the reply with the most
    entities left counts, less the findings that were rejected; if none is left the conversation has failed.

    All replies are read in the thread that asks for them; the threads of the model only put them into a queue.

    Args:
        model: that is asked.
        prompt: how it is asked.
        attempts: replies to one report, the first one included.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, *, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts}")
        self._model, self._prompt, self._attempts = model, prompt, attempts
        self._enough = max(_ENOUGH, 2 * model.slots)
        self._replies: SimpleQueue[tuple[_Talk[Key], Future[Reply]]] = SimpleQueue()
        self._ended: deque[tuple[Key, Outcome]] = deque()
        self._unanswered: list[tuple[Key, Outcome]] = []
        self._under_way = 0
        self._heard = False

    @property
    def has_room(self) -> bool:
        """Whether the model has a slot for one more."""
        return self._under_way < self._model.slots

    @property
    def under_way(self) -> int:
        """Number of conversations that wait for a reply."""
        return self._under_way

    @property
    def is_idle(self) -> bool:
        """Whether all that was started has been handed out."""
        return not (self._under_way or self._ended or self._unanswered)

    def start(self, key: Key, report: Mapping[str, str]) -> None:
        """Begin the conversation on a report.

        Args:
            key: what :meth:`next` shall call it.
            report: section name -> text.

        Raises:
            ChatUnavailableError: if the model says so at once.
        """
        self._send(_Talk(key, report, self._prompt.messages(report)))

    def receive(self) -> list[tuple[Key, Outcome]]:
        """Wait for a reply.

        The end of a conversation that got none is held back until another gets one, so that what is handed out is no
        mere sign of a dead server.

        Returns:
            Key and outcome of the conversations that ended with it; often there is none.

        Raises:
            ChatUnavailableError: if the model can answer nothing, or has left so many conversations in a row without a
                reply that this must be assumed. Those are never handed out.
            RuntimeError: if no conversation is under way.
        """
        if not self._under_way:
            raise RuntimeError("no conversation is under way")
        self._take(*self._replies.get())
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def next(self) -> tuple[Key, Outcome]:
        """Wait for a conversation to end, in whatever order they do; for when nothing more is to be started.

        When all the others have ended, those that got no reply are handed out too.

        Returns:
            Key and outcome.

        Raises:
            ChatUnavailableError: as :meth:`receive`.
            RuntimeError: if all that was started has been handed out.
        """
        while not self._ended:
            if self._unanswered and not self._under_way:
                self._release()
            else:
                self._ended.extend(self.receive())
        return self._ended.popleft()

    def _send(self, talk: _Talk[Key]) -> None:
        future = self._model.send(talk.messages, self._prompt.reply_schema())
        self._under_way += 1
        future.add_done_callback(lambda done: self._replies.put((talk, done)))

    def _take(self, talk: _Talk[Key], future: Future[Reply]) -> None:
        self._under_way -= 1
        talk.tally += Tally(requests=1)
        error = future.exception() if not future.cancelled() else ChatError("the request was dropped")
        if error is None:
            self._heard = True
            self._release()
            self._read(talk, future.result())
        elif isinstance(error, ConversationError) and self._heard:
            # A live server turned it down; perhaps only the longer conversation, with a reply to mend in it.
            self._release()
            self._end(talk, str(error))
        elif isinstance(error, ChatError):
            self._miss(talk, str(error))
        elif isinstance(error, ChatUnavailableError) or not isinstance(error, Exception):
            raise error
        else:  # its message may quote the report: only the kind of error is kept
            self._miss(talk, f"the backend {self._model.backend} failed with {type(error).__name__}")

    def _read(self, talk: _Talk[Key], reply: Reply) -> None:
        answer = read_answer(reply, talk.report, self._prompt)
        talk.tally += Tally(
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            rejected_spans=answer.rejected_spans,
            rejected_descriptors=answer.rejected_descriptors,
        )
        if answer.output is not None and (not answer.faults or _says_more(answer.output, talk.output)):
            talk.output = answer.output
        if answer.faults and talk.tally.requests < self._attempts:
            talk.messages = self._prompt.repair(talk.messages, reply, answer.faults)
            self._send(talk)
        else:
            self._end(talk, "; ".join(map(str, answer.faults)))

    def _end(self, talk: _Talk[Key], reason: str) -> None:
        self._ended.append((talk.key, Outcome(talk.output, reason if talk.output is None else None, talk.tally)))

    def _miss(self, talk: _Talk[Key], reason: str) -> None:
        # An output of an earlier reply is not used: whether a connection breaks must not decide between two answers.
        self._unanswered.append((talk.key, Outcome(None, reason, talk.tally)))
        if len(self._unanswered) >= self._enough:
            raise ChatUnavailableError(f"no reply {len(self._unanswered)} times in a row, the last time: {reason}")

    def _release(self) -> None:
        self._ended.extend(self._unanswered)
        self._unanswered.clear()


def _says_more(new: dict[str, Any], old: dict[str, Any] | None) -> bool:
    """Whether a faulty reply is the best so far; one that was rejected as a whole says nothing, not "no entity"."""
    return len(new["entities"]) >= max(1, len(old["entities"]) if old is not None else 0)
