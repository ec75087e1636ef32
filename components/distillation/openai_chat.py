# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A language model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp and the like."""

from __future__ import annotations

import queue
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Literal

from radbundles.components.distillation.chat import ChatError, ChatUnavailableError, ConversationError, Message, Reply
from radbundles.components.distillation.openai_answers import read_completion, request_failure
from radbundles.components.distillation.openai_client import open_client

ResponseFormat = Literal["auto", "json_schema", "schema_object", "json_object", "text"]

_LADDER: tuple[ResponseFormat, ...] = ("json_schema", "schema_object", "json_object", "text")
_PATH = re.compile(r"[\\/~.]|[A-Za-z]:[\\/]|.*\.gguf$")
_READINGS = 3  # requests for an answer that can be read; what fails before there is one is the client's to retry
_LISTINGS = 3  # requests for the list of models
_CLOSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the server takes, as far as its refusals have told."""

    response_format: ResponseFormat
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True


def _without_folders(model: str) -> str:
    """The name of a model that a server calls by the path of its file; "owner/name" is none."""
    return re.split(r"[\\/]", model.rstrip("\\/"))[-1] if _PATH.match(model) else model


class OpenAIChat:
    """Asks an OpenAI-compatible server, several conversations at a time.

    A request that fails in transport (no connection, time-out, 408, 409, 429, 5xx) is repeated by the ``openai`` client
    with growing pauses, or those that the server asks for. A server that refuses ``json_schema`` is asked for a JSON
    object with a schema, then for any JSON object, then for plain text; what it took once, it is asked for from then
    on. Redirects are never followed, and proxies of the environment are used for remote ``https`` only, so that no one
    else sees the reports.

    A server that calls its model by the path of a file keeps the path to itself: ``model`` has the file's name.

    Args:
        base_url: address up to and including ``/v1``. See :func:`require_loopback` for what is refused.
        model: name of the model on the server; None takes the only one that the server lists.
        allow_remote: whether reports may leave this machine.
        api_key_variable: environment variable with the key; a loopback server may do without.
        slots: conversations under way at a time.
        timeout: seconds until a request that gets no answer counts as failed.
        retries: repetitions of a request that failed in transport.
        max_tokens: length limit of a reply.
        response_format: what holds the reply to the schema; ``auto`` goes down the ladder described above.
        temperature: 0 for the likeliest reply.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if the address is refused, or a remote server has no key.
        ChatUnavailableError: if the server does not say which model to take.
    """

    backend = "openai"

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        allow_remote: bool = False,
        api_key_variable: str = "OPENAI_API_KEY",
        slots: int = 8,
        timeout: float = 120.0,
        retries: int = 8,
        max_tokens: int = 1024,
        response_format: ResponseFormat = "auto",
        temperature: float = 0.0,
    ) -> None:
        for name, value, least in (("slots", slots, 1), ("retries", retries, 0), ("max_tokens", max_tokens, 1)):
            if value < least:
                raise ValueError(f"{name} must be {least} or more, not {value}")
        if timeout <= 0:
            raise ValueError(f"timeout must be positive, not {timeout}")
        if response_format not in ("auto", *_LADDER):
            raise ValueError(f"response_format must be one of auto, {', '.join(_LADDER)}, not {response_format!r}")
        self.slots = slots
        self._key_variable = api_key_variable
        self._attempts = retries + 1
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._climbs_down = response_format == "auto"
        self._dialect = _Dialect(_LADDER[0] if response_format == "auto" else response_format)
        self._closed = threading.Event()
        self._client = open_client(
            base_url,
            allow_remote=allow_remote,
            api_key_variable=api_key_variable,
            timeout=timeout,
            retries=retries,
            before_request=self._stop_if_closed,
            after_response=self._tell_refusal,
        )
        import openai

        self._openai = openai
        self._refused: type[Exception] = type("RefusedError", (openai.OpenAIError,), {})
        try:
            self._asked = model or self._only_model()
            self.model = _without_folders(self._asked)
        except BaseException:
            self._client.close()
            raise
        # Daemons, not an executor: leaving the process must not wait for a server that is still thinking.
        self._waiting: queue.SimpleQueue[tuple[Future[Reply], Sequence[Message], Mapping[str, Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(slots)]
        self._busy = slots
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Future[Reply]:
        """Ask for a reply; see :class:`ChatModel`."""
        if self._closed.is_set():
            raise RuntimeError("the connection to the server was closed")
        future: Future[Reply] = Future()
        self._waiting.put((future, messages, schema))
        return future

    def close(self) -> None:
        """Drop what waits, give what is under way a second, and free connections and threads."""
        self._closed.set()
        while not self._waiting.empty():
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                break  # a worker was faster
            if task is not None:
                task[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)
        end = time.monotonic() + _CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, messages, schema = task
            if future.set_running_or_notify_cancel():
                outcome = self._outcome(messages, schema)
                if isinstance(outcome, Reply):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)
        with self._lock:
            self._busy -= 1
            last = not self._busy
        if last:
            self._client.close()

    def _outcome(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply | Exception:
        try:
            return self._ask(messages, schema)
        except (ChatError, ChatUnavailableError) as error:
            return error.with_traceback(None)  # whose frames hold the conversation
        except Exception as error:  # its message may quote the conversation: only the kind of error is kept
            return ChatError(f"the client failed with {type(error).__name__}")

    def _ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        known = dialect = self._dialect
        for reading in range(_READINGS):
            if reading:
                self._closed.wait(2**reading * random.uniform(0.1, 0.2))
            while True:
                answer = self._request(messages, schema, dialect)
                if not isinstance(answer, self._openai.OpenAIError):
                    break
                simpler = self._simpler(dialect, answer)
                if simpler is None:
                    status = getattr(answer, "status_code", 500)
                    raise ConversationError(
                        f"the server refused the request ({status}); the report may be too long for the model"
                    )
                dialect = simpler
            if (reply := read_completion(answer, self._max_tokens)) is not None:
                if dialect != known:  # kept only now: a request that is refused in every form tells nothing of forms
                    self._dialect = dialect
                return reply
        raise ChatError(f"the server's answer could not be read {_READINGS} times")

    def _request(self, messages: Sequence[Message], schema: Mapping[str, Any], dialect: _Dialect) -> Any:
        """The server's answer, None if it is no JSON, or the error that says that it does not take this request."""
        # As extra fields, since the client would check every turn and key of the schema again: most of its time.
        options: dict[str, Any] = {dialect.limit: self._max_tokens, "messages": messages}
        if dialect.temperature:
            options["temperature"] = self._temperature
        if dialect.response_format == "json_schema":
            form = {"name": "findings", "strict": True, "schema": schema}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        elif dialect.response_format == "schema_object":  # the form of llama-cpp-python
            options["response_format"] = {"type": "json_object", "schema": schema}
        elif dialect.response_format == "json_object":
            options["response_format"] = {"type": "json_object"}
        failure: ChatError | ChatUnavailableError
        try:
            return self._client.chat.completions.create(model=self._asked, messages=(), extra_body=options)
        except (self._openai.BadRequestError, self._openai.UnprocessableEntityError, self._refused) as error:
            return error
        except self._openai.OpenAIError as error:
            failure = request_failure(error, self._attempts, self._key_variable)
        except ValueError:  # no JSON, or no UTF-8
            return None
        raise failure  # outside of the handler: the client's error holds the request, and so the report

    def _simpler(self, dialect: _Dialect, refusal: Any) -> _Dialect | None:
        """The next dialect to try after a refusal, None if there is none."""
        reason = f"{getattr(refusal, 'param', '')} {getattr(refusal, 'message', '')}"
        if dialect.limit == "max_tokens" and "max_completion_tokens" in reason:
            return replace(dialect, limit="max_completion_tokens")
        if dialect.temperature and "temperature" in reason:
            return replace(dialect, temperature=False)
        rung = _LADDER.index(dialect.response_format) + 1
        if self._climbs_down and rung < len(_LADDER):
            return replace(dialect, response_format=_LADDER[rung])
        return None

    def _only_model(self) -> str:
        failure: Exception
        try:
            names = sorted(
                {entry.id for entry in self._client.with_options(max_retries=_LISTINGS - 1).models.list().data}
            )
        except self._openai.OpenAIError as error:
            failure = request_failure(error, _LISTINGS, self._key_variable)
        except (ValueError, AttributeError, TypeError):
            failure = ChatUnavailableError("the server's list of models cannot be read")
        else:
            if len(names) == 1:
                return names[0]
            listed = f"several models ({', '.join(names[:20])})" if names else "no model"
            failure = ChatUnavailableError(f"the server lists {listed}: say which to take with --model")
        raise ChatUnavailableError(str(failure))

    def _tell_refusal(self, response: Any) -> None:
        """Some servers answer 500 to a format that they do not know; the client would only repeat it."""
        if response.status_code >= 500 and b"response_format" in response.read():
            raise self._refused("response_format")

    def _stop_if_closed(self, request: object) -> None:
        if self._closed.is_set():
            raise self._openai.OpenAIError("closed")  # the one kind of error that the client does not retry
