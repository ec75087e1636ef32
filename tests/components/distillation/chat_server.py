# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""An OpenAI-compatible server on loopback around a real, tiny, random language model, with faults on demand.

What it answers is a function of the conversation alone, however many ask at a time, so that a job's output can be
compared byte by byte. Faults of transport depend on how often a report was asked about; they never change an answer.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.components.distillation.server_faults import NO_FAULTS, Faults
from tests.components.distillation.tiny_model import TinyModel

from radbundles.components.distillation.chat import Message

__all__ = ["MODEL_NAME", "NO_FAULTS", "NO_QUOTE", "ChatServer", "Faults", "report_key", "report_turn"]

MODEL_NAME = "tiny-llama"
NO_QUOTE = "words that nobody dictated"


def report_turn(messages: Sequence[Message]) -> int:
    """Index of the message with the report: the last of the user that does not complain of a faulty reply.

    The answers of a prompt's examples are sound, so a reply that is not tells a request to mend it from an example.
    """
    turn = len(messages) - 1
    while turn >= 2 and messages[turn - 1]["role"] == "assistant" and _is_faulty(messages, turn - 1):
        turn -= 2
    return turn


def _is_faulty(messages: Sequence[Message], turn: int) -> bool:
    try:
        quotes = [finding["evidence"] for finding in json.loads(messages[turn]["content"])["findings"]]
        return not all(" ".join(quote.split()) in " ".join(messages[turn - 1]["content"].split()) for quote in quotes)
    except (ValueError, TypeError, KeyError, AttributeError):
        return True


def report_key(messages: Sequence[Message]) -> str:
    """SHA-256 of the message with the report, by which the server counts."""
    return hashlib.sha256(messages[report_turn(messages)]["content"].encode()).hexdigest()


def _quotes(text: str) -> list[str]:
    """Spans of one to eight words within the sentences of a report; never the heading of a section."""
    spans = []
    for line in text.splitlines():
        for sentence in re.split(r"(?<=[.;])\s+", re.sub(r"^[^.:]{1,40}:\s*", "", line)):
            words = [match.span() for match in re.finditer(r"\S+", sentence.rstrip(".; "))]
            for number, (start, _) in enumerate(words):
                spans += [
                    sentence[start : words[last - 1][1]] for last in (number + 1, len(words)) if last <= number + 8
                ]
    return spans[:64]


class ChatServer:
    """Serves ``/v1/models`` and ``/v1/chat/completions`` while the ``with`` block runs.

    Attributes:
        base_url: to hand to a client.
        requests: how often each report was asked about, by :func:`report_key`.
        answered: how often a whole reply to it was sent.
        bodies: the requests themselves, in order of arrival, if ``keep`` was given.
    """

    _model: TinyModel | None = None

    def __init__(
        self, faults: Faults | None = None, *, slow: float = 0.2, json_schema: bool = True, keep: bool = False
    ) -> None:
        self.faults = faults or NO_FAULTS
        self.slow = slow
        self.json_schema = json_schema
        self.keep = keep
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        if ChatServer._model is None:  # one for all servers of a process
            ChatServer._model = TinyModel()
        self.model = ChatServer._model

    def __enter__(self) -> ChatServer:
        self._http = _Server(self)
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self.open:  # those kept alive would wait for another request
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # already gone
        self._http.server_close()  # joins the threads

    def wait_until_idle(self, timeout: float = 10.0) -> None:
        """Wait until every connection is closed, as they are soon after the client was killed."""
        end = time.monotonic() + timeout
        while self.open:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.open)} connections are open after {timeout} s")
            time.sleep(0.01)

    def reply(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """The reply to a request and why it ends: a function of the request alone."""
        messages, form = body["messages"], body.get("response_format", {}).get("type", "text")
        turn, key = report_turn(messages), report_key(messages)
        if form == "json_schema":
            schema = body["response_format"]["json_schema"]["schema"]
            text = self.model.fill(messages, schema, _quotes(messages[turn]["content"]))
        else:
            text = self.model.write(messages, 24)
            text = json.dumps({"said": text}) if form == "json_object" else text
        fault = self.faults.content(key, first_turn=turn == len(messages) - 1)
        if fault == "truncated":
            return text[: len(text) // 2 + 1], "length" if int(key[0], 16) % 2 else "stop"
        if fault == "wrong_shape":
            return json.dumps({"answer": text}), "stop"
        if fault == "hallucinated" and form == "json_schema":
            made_up = {"evidence": NO_QUOTE, "entity": _first_enum(schema), "certainty": "present", "descriptors": []}
            return json.dumps({"findings": [made_up, *json.loads(text)["findings"]]}), "stop"
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 10**6
        ids = self.model.tokens(text)
        return (text, "stop") if len(ids) <= limit else (self.model.text(ids[:limit]), "length")


def _first_enum(schema: Mapping[str, Any]) -> str:
    name: str = schema["properties"]["findings"]["items"]["properties"]["entity"]["enum"][0]
    return name


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, owner: ChatServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed while they are served; anything else is a fault of this file and is printed."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: _Server

    def setup(self) -> None:
        super().setup()
        with self.server.owner.lock:
            self.server.owner.open.add(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.server.owner.lock:
                self.server.owner.open.discard(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        if self.path != "/v1/models":
            return self._error(404, "no such page")
        self._send(200, {"object": "list", "data": [{"id": MODEL_NAME, "object": "model", "created": 0}]})

    def do_POST(self) -> None:  # noqa: N802
        owner = self.server.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/chat/completions":
            return self._error(404, "no such page")
        body = json.loads(raw)
        if body["model"] != MODEL_NAME:
            return self._error(404, "no such model")
        key = report_key(body["messages"])
        with owner.lock:
            earlier = owner.requests[key]
            owner.requests[key] += 1
            if owner.keep:
                owner.bodies.append(body)
        if not owner.json_schema and body.get("response_format", {}).get("type") == "json_schema":
            return self._error(400, "response_format.type json_schema is not supported")
        fault = owner.faults.transport(key, earlier)
        if fault == "too_many":
            return self._error(429, "too many requests", {"retry-after-ms": "30"})
        if fault == "error":
            return self._error(500, "out of order", {"retry-after-ms": "30"})
        if fault == "slow":
            time.sleep(owner.slow)
        text, reason = owner.reply(body)
        prompt = sum(len(message["content"]) for message in body["messages"])  # nearly: a token is a byte
        completion = len(owner.model.tokens(text))
        answer = {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL_NAME,
            "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }
        if fault == "dropped":
            return self._drop(answer)
        self._send(200, answer)
        with owner.lock:
            owner.answered[key] += 1

    def _error(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, {"error": {"message": message, "type": "fault", "code": status}}, headers)

    def _send(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self._head(status, len(raw), headers or {})
        self.wfile.write(raw)
        self.wfile.flush()

    def _drop(self, body: object) -> None:
        raw = json.dumps(body).encode()
        self._head(200, len(raw), {})
        self.wfile.write(raw[: len(raw) // 2])
        self.wfile.flush()
        self.close_connection = True

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
