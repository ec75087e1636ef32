# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A language model in this process, which answers conversations in batches."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from radbundles.components.distillation.chat import (
    ChatError,
    ChatUnavailableError,
    ConversationError,
    Message,
    Reply,
)
from radbundles.components.distillation.local_model import LocalModel

if TYPE_CHECKING:
    import torch

_FILLING = 0.05  # seconds that a batch waits for more conversations


@dataclass(frozen=True, slots=True)
class _Asked:
    messages: Sequence[Message]
    future: Future[Reply]


@dataclass(frozen=True, slots=True)
class _Running:
    tokens: list[int]
    future: Future[Reply]


class TransformersChat:
    """A :class:`ChatModel` around a causal language model of transformers; nothing leaves this process.

    One thread works: it takes the conversations that wait, pads them on the left to one batch and writes the likeliest
    reply to each, token by token. Instructions and examples, which all conversations begin with, are read once. Replies
    are not held to a schema while they are written; one that only repeats itself is broken off. When the memory of the
    GPU does not suffice, a batch is halved as often as it takes.

    Rounding depends on the shape of a batch, so that a reply may differ where two tokens are nearly as likely: hardly
    ever in float32, now and then in the half formats. Cached answers do not change.

    Args:
        model: folder as ``save_pretrained`` writes it, or the name of a repository on the Hugging Face Hub; safetensors
            weights and a chat template are required.
        device: by default the GPU if there is one.
        dtype: "float32", "bfloat16" or "float16"; "auto" is bfloat16 on a GPU that has it, float16 on an older one and
            float32 elsewhere.
        batch_size: conversations answered at a time.
        max_new_tokens: longest reply.
        max_length: tokens that conversation and reply may take together, by default as many as the model was made for.

    Raises:
        ValueError: if there is no such model or it cannot be used, or a number is out of range.
    """

    backend = "transformers"

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        device: str | torch.device | None = None,
        dtype: str = "auto",
        batch_size: int = 8,
        max_new_tokens: int = 1024,
        max_length: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("max_new_tokens", max_new_tokens)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        source = model if isinstance(model, str) else Path(model)
        self._local = LocalModel.read(source, device=device, dtype=dtype)
        bounds = [bound for bound in (max_length, self._local.context) if bound is not None]
        self._context = min(bounds, default=None)
        if self._context is not None and self._context <= max_new_tokens:
            raise ValueError(
                f"max_new_tokens must leave room for the report: got {max_new_tokens:,} of {self._context:,} tokens"
            )
        self.model = self._local.name
        self.slots = 2 * batch_size  # the next batch waits while one is answered
        self._batch_size = batch_size
        self._max_new_tokens = max_new_tokens
        self._waiting: SimpleQueue[_Asked | None] = SimpleQueue()
        self._closed = Event()
        self._closing = Lock()
        self._worker = Thread(target=self._work, name="language model", daemon=True)
        self._worker.start()

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        """Ask for a reply; the schema is left to whoever reads it."""
        future: Future[Reply] = Future()
        with self._closing:
            if self._closed.is_set():
                future.set_exception(_gone())
            else:
                self._waiting.put(_Asked(messages, future))
        return future

    def close(self) -> None:
        """Drop what is under way, at its next token, and end the thread."""
        with self._closing:
            self._closed.set()
            self._waiting.put(None)
        self._worker.join()

    def _work(self) -> None:
        while not self._closed.is_set():
            self._answer(self._gather())
        while not self._waiting.empty():
            if (asked := self._waiting.get()) is not None and asked.future.set_running_or_notify_cancel():
                asked.future.set_exception(_gone())

    def _gather(self) -> list[_Asked]:
        """Wait for conversations; none comes back when the model is closed."""
        batch: list[_Asked] = []
        until = 0.0
        while len(batch) < self._batch_size:
            try:
                asked = self._waiting.get(timeout=max(0.0, until - time.monotonic()) if batch else None)
            except Empty:
                break
            if asked is None:
                break
            if not batch:
                until = time.monotonic() + _FILLING
            batch.append(asked)
        return batch

    def _answer(self, batch: Sequence[_Asked]) -> None:
        running: list[_Running] = []
        for asked in batch:
            if not asked.future.set_running_or_notify_cancel():
                continue
            try:
                running.append(_Running(self._tokens(asked.messages), asked.future))
            except ConversationError as error:
                asked.future.set_exception(error)
        if running:
            self._reply(running)

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        try:
            tokens = self._local.encode(messages)
        except Exception as error:  # a template may quote the conversation: only the kind of error is kept
            raise ConversationError(f"the chat template failed with {type(error).__name__}") from None
        if self._context is not None and len(tokens) + self._max_new_tokens > self._context:
            room = f"{self._context:,} with {self._max_new_tokens:,} for the reply"
            raise ConversationError(f"{len(tokens):,} tokens, and the model takes {room}")
        return tokens

    def _reply(self, batch: Sequence[_Running]) -> None:
        from torch import OutOfMemoryError

        fault: Exception | None = None
        full = False
        written: list[list[int]] = []
        try:
            conversations = [one.tokens for one in batch]
            written = self._local.generate(conversations, max_new_tokens=self._max_new_tokens, stop=self._closed.is_set)
        except OutOfMemoryError:  # handled below, where the traceback no longer holds the tensors
            full = True
        except BaseException as error:  # whatever it was, nobody may wait forever; its text may quote the conversation
            fault = ChatError(f"the model failed with {type(error).__name__}")
        if self._closed.is_set():
            fault = _gone()
        elif full and len(batch) > 1:
            _free_memory()
            self._reply(batch[: len(batch) // 2])
            self._reply(batch[len(batch) // 2 :])
            return
        elif full:
            _free_memory()
            fault = ConversationError(f"the memory of the GPU does not suffice for {len(batch[0].tokens):,} tokens")
        for number, one in enumerate(batch):
            if fault is not None:
                one.future.set_exception(fault)
            else:
                one.future.set_result(self._read(one.tokens, written[number]))

    def _read(self, asked: Sequence[int], written: Sequence[int]) -> Reply:
        return Reply(
            text=self._local.decode(written),
            complete=written[-1] in self._local.ends,
            prompt_tokens=len(asked),
            completion_tokens=len(written),
        )


def _gone() -> ChatUnavailableError:
    return ChatUnavailableError("the language model was closed")


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
