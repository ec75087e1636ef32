# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The server that other tests lean on keeps its own promises."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import jsonschema
import pytest
from tests.components.distillation.chat_server import (
    MODEL_NAME,
    NO_FAULTS,
    NO_QUOTE,
    ChatServer,
    Faults,
    report_key,
    report_turn,
)

from radbundles.components.distillation import Prompt, read_answer
from radbundles.components.distillation.chat import Message, Reply

PROMPT = Prompt.read("chest")
SCHEMA = PROMPT.reply_schema()
REPORTS = [
    {
        "findings": f"Report {number}: the heart is {size}. Small {side} effusion, no pneumothorax; {number} nodules.",
        "impression": f"Likely {what}.",
    }
    for number, (size, side, what) in enumerate(
        (size, side, what)
        for size in ("large", "normal", "not enlarged")
        for side in ("left", "right", "bilateral")
        for what in ("edema", "pneumonia", "an old fracture", "scarring")
    )
]
open_url = build_opener(ProxyHandler({})).open


def post(server: ChatServer, messages: list[Message], form: str = "json_schema", **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": MODEL_NAME, "messages": messages, "response_format": {"type": form}, **options}
    if form == "json_schema":
        body["response_format"]["json_schema"] = {"name": "x", "schema": SCHEMA}
    request = Request(f"{server.base_url}/chat/completions", json.dumps(body).encode())
    with open_url(request, timeout=20) as answer:
        read: dict[str, Any] = json.load(answer)
    return read


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def fault(**rates: float) -> Faults:
    return Faults(**{**vars(NO_FAULTS), **rates})


def test_replies_meet_the_schema_quote_the_report_and_vary() -> None:
    seen: Counter[str] = Counter()
    with ChatServer() as server:
        for report in REPORTS:
            text = text_of(post(server, PROMPT.messages(report)))
            jsonschema.validate(json.loads(text), SCHEMA)
            answer = read_answer(Reply(text), report, PROMPT)
            assert answer.output is not None and not answer.rejected_spans and not answer.rejected_descriptors
            seen["with"] += bool(answer.output["entities"])
            seen.update({f"{e['entity']} {e['certainty']}" for e in answer.output["entities"]})
            seen[text] += 1
    assert seen.pop("with") >= 6
    assert len(seen) >= 8


def test_replies_depend_on_the_conversation_alone() -> None:
    conversations = [PROMPT.messages(report) for report in REPORTS]
    with ChatServer() as server:
        one_by_one = [text_of(post(server, messages)) for messages in conversations]
    with ChatServer() as server, ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda messages: text_of(post(server, messages)), reversed(conversations))
        assert list(replies) == one_by_one[::-1]


def test_requests_are_counted_by_the_report_whatever_the_turn() -> None:
    report = REPORTS[0]
    messages = PROMPT.messages(report)
    assert report_turn(messages) == len(messages) - 1
    key = report_key(messages)
    with ChatServer(fault(permanent=1.0), keep=True) as server:
        for _ in range(3):
            answer = post(server, messages)
            reply = Reply(text_of(answer), answer["choices"][0]["finish_reason"] == "stop")
            judged = read_answer(reply, report, PROMPT)
            assert judged.output is None
            messages = PROMPT.repair(messages, reply, judged.faults)
            assert report_key(messages) == key
    assert server.requests == server.answered == {key: 3}
    turns = [len(body["messages"]) for body in server.bodies]
    assert turns[0] == len(PROMPT.messages(report)) < min(turns[1:])


@pytest.mark.parametrize("name", ["truncated", "wrong_shape", "hallucinated"])
def test_faults_of_content_are_mended_at_the_second_turn(name: str) -> None:
    with ChatServer(fault(**{name: 1.0})) as server:
        for report in REPORTS[:6]:
            messages = PROMPT.messages(report)
            answer = post(server, messages)
            reply = Reply(text_of(answer), answer["choices"][0]["finish_reason"] == "stop")
            judged = read_answer(reply, report, PROMPT)
            assert judged.faults
            if name == "hallucinated":
                assert NO_QUOTE in reply.text and judged.rejected_spans == 1
            else:
                assert judged.output is None
            second = Reply(text_of(post(server, PROMPT.repair(messages, reply, judged.faults))))
            assert not read_answer(second, report, PROMPT).faults


def test_faults_of_transport_pass_and_are_the_same_for_a_second_server() -> None:
    def statuses() -> list[list[str]]:
        with ChatServer(Faults(slow=0, too_many=0.3, error=0.3, dropped=0.3, seed=3)) as server:
            return [[attempt(server, report) for _ in range(3)] for report in REPORTS]

    def attempt(server: ChatServer, report: dict[str, str]) -> str:
        try:
            text_of(post(server, PROMPT.messages(report)))
        except HTTPError as error:
            with error:
                return str(error.code)
        except Exception as error:
            return type(error).__name__
        return "fine"

    first = statuses()
    assert {outcome for outcomes in first for outcome in outcomes} == {"429", "500", "IncompleteRead", "fine"}
    assert all(outcomes[-1] == "fine" for outcomes in first)
    assert statuses() == first


def test_a_reply_without_schema_is_no_answer() -> None:
    with ChatServer() as server:
        for form in ("text", "json_object"):
            reply = Reply(text_of(post(server, PROMPT.messages(REPORTS[0]), form)))
            assert read_answer(reply, REPORTS[0], PROMPT).output is None


def test_a_reply_ends_at_the_limit_of_tokens() -> None:
    with ChatServer() as server:
        answer = post(server, PROMPT.messages(REPORTS[0]), max_tokens=8)
    assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 8


def test_the_rates_hold_over_many_reports() -> None:
    faults = Faults()
    keys = [f"{number:064x}" for number in range(4000)]
    met = Counter(faults.content(key, first_turn=True) for key in keys)
    assert 0.04 < met["hallucinated"] / len(keys) < 0.06
    assert 0.01 < sum(faults.content(key, first_turn=False) is not None for key in keys) / len(keys) < 0.03
    assert 0.08 < sum(faults.transport(key, 0) == "error" for key in keys) / len(keys) < 0.12
    assert not any(faults.transport(key, 2) for key in keys)
