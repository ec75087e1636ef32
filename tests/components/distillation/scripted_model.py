# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A language model that says what a test wants it to say."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from radbundles.components.distillation import Prompt
from radbundles.components.distillation.chat import Message, Reply

PROMPT = Prompt.read("chest")
Say = Callable[[Sequence[Message]], "Reply | str | Exception"]


def turns(messages: Sequence[Message]) -> list[str]:
    """What was said on the report at hand: the report itself, then replies and complaints in turn."""
    return [message["content"] for message in messages[len(PROMPT.messages({"text": "x"})) - 1 :]]


def found(evidence: str, entity: str = "effusion", certainty: str = "present", *descriptors: str) -> dict[str, Any]:
    return {"evidence": evidence, "entity": entity, "certainty": certainty, "descriptors": list(descriptors)}


def reply(*findings: dict[str, Any]) -> str:
    return json.dumps({"findings": list(findings)})


class ScriptedModel:
    """Answers by a function of the conversation: at once, or, if ``held``, when :meth:`release` is called.

    Attributes:
        asked: the conversations, in the order in which they came.
        held: futures that wait for their reply.
    """

    backend = "scripted"

    def __init__(self, say: Say, *, slots: int = 4, held: bool = False, model: str = "script-1") -> None:
        self.say, self.slots, self.model, self._hold = say, slots, model, held
        self.asked: list[list[Message]] = []
        self.held: list[tuple[Future[Reply], list[Message]]] = []

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        assert schema == PROMPT.reply_schema()
        future: Future[Reply] = Future()
        self.asked.append(list(messages))
        self.held.append((future, list(messages)))
        assert len(self.held) <= self.slots
        if not self._hold:
            self.release()
        return future

    def release(self, which: int = 0) -> None:
        future, messages = self.held.pop(which)
        said = self.say(messages)
        if isinstance(said, Exception):
            future.set_exception(said)
        else:
            future.set_result(said if isinstance(said, Reply) else Reply(said, True, 100, 10))

    def close(self) -> None:
        pass


class ThreadedModel(ScriptedModel):
    """Answers from threads, after pauses that change the order."""

    def __init__(self, say: Say, *, slots: int, seed: int) -> None:
        super().__init__(say, slots=slots)
        self._random = random.Random(seed)
        self._threads = ThreadPoolExecutor(slots)

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        self.asked.append(list(messages))
        return self._threads.submit(self._answer, list(messages), self._random.uniform(0.0, 0.003))

    def _answer(self, messages: list[Message], pause: float) -> Reply:
        time.sleep(pause)
        said = self.say(messages)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(said)

    def close(self) -> None:
        self._threads.shutdown()
