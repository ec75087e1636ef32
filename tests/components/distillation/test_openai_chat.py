# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.components.distillation.chat_server import MODEL_NAME, NO_FAULTS, ChatServer, Faults

from radbundles.components.distillation import OpenAIChat
from radbundles.components.distillation.chat import ChatError, ChatUnavailableError, ConversationError, Message, Reply

pytest.importorskip("openai")

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["findings"],
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["evidence", "entity"],
                "properties": {
                    "evidence": {"type": "string"},
                    "entity": {"type": "string", "enum": ["effusion", "nodule", "opacity"]},
                },
            },
        }
    },
}
SECRET = "Quirinus Abendroth coughs since the flood"
KEY = "sk-planted-key-417"
Respond = Callable[[int, dict[str, Any]], tuple[int, object]]


def talk(report: str = "Findings:\nSmall effusion.") -> list[Message]:
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": report}]


def completion(text: object = "yes", reason: str = "stop", **message: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **message}
    return {
        "id": "0",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
    }


class Scripted:
    """A server that answers request number n (from 0) as told; remembers bodies, heads and paths."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []


@contextmanager
def scripted(respond: Respond) -> Iterator[Scripted]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            with lock:
                number = len(server.bodies)
                server.bodies.append(body)
                server.heads.append({name.lower(): value for name, value in self.headers.items()})
                server.paths.append(self.path)
            status, answer = respond(number, body)
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("retry-after-ms", "5")
            if 300 <= status < 400:
                self.send_header("Location", str(answer))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_CONNECT = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = False
    server = Scripted(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@contextmanager
def chat(url: str, model: str | None = "m", **options: Any) -> Iterator[OpenAIChat]:
    asked = OpenAIChat(url, model, **{"slots": 2, "timeout": 5.0, "retries": 2, **options})
    try:
        yield asked
    finally:
        asked.close()


def ask(model: OpenAIChat, report: str = "Findings:\nSmall effusion.") -> Reply:
    return model.send(talk(report), SCHEMA).result(timeout=30)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_reply_of_a_model_comes_back_with_its_tokens() -> None:
    with ChatServer() as server, chat(server.base_url, None) as model:
        assert (model.backend, model.model, model.slots) == ("openai", MODEL_NAME, 2)
        reply = ask(model)
    assert set(json.loads(reply.text)) == {"findings"}
    assert reply.complete and reply.prompt_tokens > 20 and reply.completion_tokens == len(reply.text)


def test_faults_of_transport_and_concurrency_change_no_reply() -> None:
    reports = [f"Findings:\nReport {number}. Small effusion at {number % 7} cm; no nodule." for number in range(24)]
    with ChatServer() as server, chat(server.base_url, MODEL_NAME, slots=1) as model:
        quiet = [ask(model, report).text for report in reports]
    faults = Faults(
        slow=0.2, too_many=0.3, error=0.3, dropped=0.1, truncated=0, wrong_shape=0, hallucinated=0, permanent=0
    )
    with ChatServer(faults, slow=0.05) as server, chat(server.base_url, MODEL_NAME, slots=8) as model:
        futures = [model.send(talk(report), SCHEMA) for report in reports]
        assert [future.result(timeout=30).text for future in futures] == quiet
    assert server.requests.total() > len(reports) == server.answered.total()


def test_no_more_requests_are_under_way_than_slots() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return 200, completion()

    with scripted(respond) as server, chat(server.url, slots=3) as model:
        for future in [model.send(talk(), SCHEMA) for _ in range(12)]:
            future.result(timeout=30)
    assert most == 3


def test_a_request_holds_model_schema_limits_and_turns() -> None:
    with scripted(lambda number, body: (200, completion())) as server:
        with chat(server.url, max_tokens=77, temperature=0.5) as model:
            assert ask(model) == Reply("yes")
    (body,) = server.bodies
    assert server.paths == ["/v1/chat/completions"]
    assert body["model"] == "m" and body["messages"] == talk()
    assert body["max_tokens"] == 77 and body["temperature"] == 0.5
    form = body["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"] == {
        "name": "findings",
        "strict": True,
        "schema": SCHEMA,
    }


def form_of(body: dict[str, Any]) -> str:
    return str(body.get("response_format", {"type": "text"})["type"])


@pytest.mark.parametrize("taken", ["json_object", "text"])
@pytest.mark.parametrize("status", [400, 422])
def test_the_ladder_is_climbed_down_once(taken: str, status: int) -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        return (200, completion()) if form_of(body) == taken else (status, {"error": {"message": "unknown format"}})

    with scripted(respond) as server, chat(server.url) as model:
        ask(model)
        first = [form_of(body) for body in server.bodies]
        ask(model)
    assert first == ["json_schema", "json_object", "json_object", "text"][: len(first)] and first[-1] == taken
    assert [form_of(body) for body in server.bodies[len(first) :]] == [taken]


def test_a_server_that_answers_500_to_a_format_is_asked_in_another_at_once() -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        if form_of(body) == "json_schema":
            return 500, {"error": {"message": "[{'loc': ('body', 'response_format', 'type')}]", "type": "internal"}}
        return 200, completion()

    with scripted(respond) as server, chat(server.url) as model:
        assert ask(model) == Reply("yes")
        ask(model)
    assert [form_of(body) for body in server.bodies] == ["json_schema", "json_object", "json_object"]
    assert all(body["response_format"]["schema"] == SCHEMA for body in server.bodies[1:])


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("/models/small.Q4.gguf", "small.Q4.gguf"),
        ("models/small.gguf", "small.gguf"),
        ("C:\\models\\small", "small"),
        ("owner/name", "owner/name"),
        ("small:8b", "small:8b"),
    ],
)
def test_a_model_called_by_its_path_keeps_the_path_to_itself(listed: str, told: str) -> None:
    with scripted(lambda number, body: (200, completion())) as server, chat(server.url, listed) as model:
        ask(model)
        assert model.model == told
    assert server.bodies[0]["model"] == listed


def test_a_server_without_json_schema_is_asked_for_an_object() -> None:
    with ChatServer(json_schema=False, keep=True) as server, chat(server.base_url, MODEL_NAME) as model:
        assert isinstance(json.loads(ask(model).text), dict)
        assert [form_of(body) for body in server.bodies] == ["json_schema", "json_object"]


def test_a_report_refused_in_every_form_fails_alone() -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        long = "long" in body["messages"][-1]["content"]
        return (400, {"error": {"message": "too many tokens"}}) if long else (200, completion())

    with scripted(respond) as server, chat(server.url) as model:
        with pytest.raises(ConversationError, match=r"refused the request \(400\); the report may be too long"):
            ask(model, "long")
        assert ask(model, "short") == Reply("yes")
    forms = ["json_schema", "json_object", "json_object", "text", "json_schema"]
    assert [form_of(body) for body in server.bodies] == forms


def test_a_chosen_format_is_kept() -> None:
    refusal = (400, {"error": {"message": "no"}})
    with scripted(lambda number, body: refusal) as server, chat(server.url, response_format="json_object") as model:
        with pytest.raises(ChatError, match="400"):
            ask(model)
    assert [form_of(body) for body in server.bodies] == ["json_object"]


def test_a_server_may_want_another_limit_and_no_temperature() -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        if "max_tokens" in body:
            return 400, {"error": {"message": "use 'max_completion_tokens' instead", "param": "max_tokens"}}
        if "temperature" in body:
            return 400, {"error": {"message": "unsupported value", "param": "temperature"}}
        return 200, completion()

    with scripted(respond) as server, chat(server.url, max_tokens=77) as model:
        ask(model)
        assert len(server.bodies) == 3
        ask(model)
    assert len(server.bodies) == 4 and server.bodies[-1]["max_completion_tokens"] == 77
    assert form_of(server.bodies[-1]) == "json_schema"


@pytest.mark.parametrize(
    ("status", "mend"),
    [(401, "RAD_KEY"), (403, "RAD_KEY"), (404, "/v1"), (307, "final address"), (302, "final address")],
)
def test_what_would_fail_every_time_stops_at_once(status: int, mend: str) -> None:
    with scripted(lambda number, body: (status, {"error": {"message": SECRET}})) as server:
        with chat(server.url, api_key_variable="RAD_KEY") as model:
            with pytest.raises(ChatUnavailableError, match=mend) as caught:
                ask(model)
    assert len(server.bodies) == 1 and str(status) in str(caught.value) and SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_passing_faults_are_tried_again(status: int) -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        return (200, completion()) if number == 2 else (status, {"error": {"message": "later"}})

    with scripted(respond) as server, chat(server.url, retries=2) as model:
        assert ask(model) == Reply("yes")
    with scripted(lambda number, body: (status, {})) as server, chat(server.url, retries=2) as model:
        with pytest.raises(ChatError, match=f"^the server answered {status}, 3 times$") as caught:
            ask(model)
    assert len(server.bodies) == 3 and not isinstance(caught.value, ConversationError)


def test_a_server_that_is_gone_fails_the_conversation_only() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with chat(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", retries=1) as model:
            with pytest.raises(ChatError, match="^no connection to the server, 2 times$"):
                ask(model)


def test_a_server_that_is_silent_runs_into_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with chat(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", retries=0, timeout=0.2) as model:
            with pytest.raises(ChatError, match="^the server did not answer in time, once$"):
                ask(model)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b'{"choices": [',
        b"\xff\xfe",
        b"[]",
        {},
        {"choices": []},
        {"choices": [{"message": None}]},
        completion(7),
    ],
    ids=["html", "cut", "bytes", "list", "empty", "no choice", "no message", "a number"],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(answer: object) -> None:
    with (
        scripted(lambda number, body: (200, answer if number == 0 else completion())) as server,
        chat(server.url) as model,
    ):
        assert ask(model) == Reply("yes")
    assert len(server.bodies) == 2


def test_answers_that_can_never_be_read_fail_the_conversation() -> None:
    with scripted(lambda number, body: (200, SECRET.encode())) as server, chat(server.url) as model:
        with pytest.raises(ChatError, match="^the server's answer could not be read 3 times$"):
            ask(model)
    assert len(server.bodies) == 3


def test_a_connection_dropped_in_the_middle_of_the_body_is_tried_again() -> None:
    faults = Faults(**{**vars(NO_FAULTS), "dropped": 1.0})
    with ChatServer(faults) as server, chat(server.base_url, MODEL_NAME) as model:
        assert ask(model).complete
    assert server.requests.total() >= 2 and server.answered.total() == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion(None, refusal=SECRET), "the model refused to answer"),
        (completion(None), "the reply was empty"),
        (completion(" \n"), "the reply was empty"),
        (completion(None, "length"), "the reply was empty, cut off at 1,024 tokens"),
        (completion(SECRET, "content_filter"), "the server's content filter held the reply back"),
    ],
)
def test_no_reply_is_an_error_of_the_conversation(answer: object, reason: str) -> None:
    with scripted(lambda number, body: (200, answer)) as server, chat(server.url) as model:
        with pytest.raises(ConversationError) as caught:
            ask(model)
    assert str(caught.value) == reason


def test_a_reply_cut_off_at_the_limit_is_marked() -> None:
    with scripted(lambda number, body: (200, completion("half", "length"))) as server, chat(server.url) as model:
        assert ask(model) == Reply("half", complete=False)


def test_half_a_surrogate_pair_is_replaced() -> None:
    with scripted(lambda number, body: (200, completion("a\ud83db"))) as server, chat(server.url) as model:
        assert ask(model) == Reply("a?b")


def test_the_only_model_is_taken_and_several_are_named() -> None:
    def models(*names: str) -> dict[str, Any]:
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in names]
        return {"object": "list", "data": entries}

    with scripted(lambda number, body: (200, models("one"))) as server, chat(server.url, None) as model:
        assert model.model == "one" and server.paths == ["/v1/models"]
    with scripted(lambda number, body: (200, models("one", "two"))) as server:
        with pytest.raises(ChatUnavailableError, match=r"several models \(one, two\).*--model"):
            OpenAIChat(server.url)
    with (
        scripted(lambda number, body: (200, models())) as server,
        pytest.raises(ChatUnavailableError, match="no model"),
    ):
        OpenAIChat(server.url)
    with scripted(lambda number, body: (200, b"<html>")) as server:
        with pytest.raises(ChatUnavailableError, match="list of models cannot be read"):
            OpenAIChat(server.url)
    with (
        scripted(lambda number, body: (401, {})) as server,
        pytest.raises(ChatUnavailableError, match="OPENAI_API_KEY"),
    ):
        OpenAIChat(server.url)


def test_the_key_comes_from_the_environment_and_shows_up_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAD_KEY", f"  {KEY}\n")
    with scripted(lambda number, body: (401, {})) as server, chat(server.url, api_key_variable="RAD_KEY") as model:
        with pytest.raises(ChatUnavailableError) as caught:
            ask(model)
        assert KEY not in repr(model) + str(vars(model)) + repr(caught.value)
    assert server.heads[0]["authorization"] == f"Bearer {KEY}"
    with scripted(lambda number, body: (200, completion())) as server, chat(server.url) as model:
        ask(model)
    assert KEY not in str(server.heads)


def test_a_remote_server_needs_a_key() -> None:
    with pytest.raises(ValueError, match="environment variable RAD_KEY"):
        OpenAIChat("https://api.example.org/v1", "m", allow_remote=True, api_key_variable="RAD_KEY")
    with pytest.raises(ValueError, match="report text would leave this machine"):
        OpenAIChat("https://api.example.org/v1", "m")


def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX: y")
    with pytest.raises(ValueError, match="OPENAI_API_KEY holds something that cannot be a key") as caught:
        OpenAIChat("http://127.0.0.1:1/v1", "m")
    assert KEY not in str(caught.value)


def test_no_proxy_of_the_environment_sees_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(lambda number, body: (200, completion("trap"))) as trap:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, trap.url.removesuffix("/v1"))
            monkeypatch.setenv(name.lower(), trap.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with scripted(lambda number, body: (200, completion())) as server, chat(server.url) as model:
            assert ask(model) == Reply("yes")
    assert not trap.bodies


def test_a_redirect_takes_no_report_elsewhere() -> None:
    with scripted(lambda number, body: (200, completion("trap"))) as trap:
        with scripted(lambda number, body: (307, f"{trap.url}/chat/completions")) as server, chat(server.url) as model:
            with pytest.raises(ChatUnavailableError, match="redirects to another address"):
                ask(model)
    assert len(server.bodies) == 1 and not trap.bodies


def test_an_error_holds_no_part_of_the_conversation() -> None:
    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        return (500, 400, 418, 200)[number % 4], {"error": {"message": json.dumps(body)}}

    with scripted(respond) as server, chat(server.url, retries=0, response_format="text") as model:
        for _ in range(4):
            with pytest.raises(ChatError) as caught:
                ask(model, SECRET)
            error: BaseException = caught.value
            assert SECRET not in str(error) and error.__cause__ is None and error.__context__ is None
            files = {Path(frame.path).name for frame in caught.traceback}
            assert files == {"test_openai_chat.py", "_base.py"}  # the frames of a sender would hold the turns


def test_debug_logs_hold_neither_report_nor_key() -> None:
    code = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from radbundles.components.distillation import OpenAIChat
chat = OpenAIChat(sys.argv[1], "m", retries=1)
futures = [chat.send([{"role": "user", "content": sys.argv[2]}], {}) for _ in range(4)]
print([str(future.exception() or future.result().text[:3]) for future in futures])
chat.close()
"""

    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        if number % 4 == 3:
            return 200, completion(f"yes {SECRET}")
        return (500, 400, 200)[number % 4], {"error": {"message": json.dumps(body)}}

    environment = {**os.environ, "OPENAI_LOG": "debug", "OPENAI_API_KEY": KEY}
    with scripted(respond) as server:
        command = [sys.executable, "-c", code, server.url, SECRET]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
    assert "yes" in done.stdout and len(server.bodies) >= 4
    for planted in (SECRET, "Abendroth", KEY):
        assert planted not in done.stdout + done.stderr


def test_closing_does_not_wait_for_a_server_that_thinks() -> None:
    release = threading.Event()

    def respond(number: int, body: dict[str, Any]) -> tuple[int, object]:
        release.wait(20)
        return 200, completion()

    with scripted(respond) as server:
        model = OpenAIChat(server.url, "m", slots=1)
        first, second = model.send(talk(), SCHEMA), model.send(talk(), SCHEMA)
        while not server.bodies:
            time.sleep(0.01)
        start = time.monotonic()
        model.close()
        assert time.monotonic() - start < 5
        with pytest.raises(CancelledError):
            second.result(timeout=1)
        with pytest.raises(RuntimeError, match="closed"):
            model.send(talk(), SCHEMA)
        release.set()
        assert first.result(timeout=10) == Reply("yes")
    assert len(server.bodies) == 1


def test_closing_ends_the_retries() -> None:
    with scripted(lambda number, body: (500, {})) as server:
        model = OpenAIChat(server.url, "m", slots=1, retries=500)
        future = model.send(talk(), SCHEMA)
        while len(server.bodies) < 2:
            time.sleep(0.01)
        model.close()
        assert isinstance(future.exception(timeout=5), ChatError)
        assert len(server.bodies) < 400


def test_a_process_that_ends_does_not_wait_for_a_server_that_thinks(tmp_path: Path) -> None:
    code = """
import sys
from radbundles.components.distillation import OpenAIChat
OpenAIChat(sys.argv[1], "m").send([{"role": "user", "content": "?"}], {})
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r'pip install "radbundles\[openai\]"'):
        OpenAIChat("http://127.0.0.1:1/v1", "m")


@pytest.mark.parametrize(
    "options",
    [{"slots": 0}, {"retries": -1}, {"max_tokens": 0}, {"timeout": 0.0}, {"response_format": "yaml"}],
    ids=lambda options: next(iter(options)),
)
def test_senseless_settings_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        OpenAIChat("http://127.0.0.1:1/v1", "m", **options)
