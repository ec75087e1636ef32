# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A job is killed again and again, against a server with faults, and nothing is lost, changed or asked twice."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.components.distillation.chat_server import MODEL_NAME, ChatServer, Faults, report_key
from tests.components.distillation.killed_job import SHARD, server_job
from tests.components.distillation.scripted_model import PROMPT

from radbundles.components.data.records import report_sha256
from radbundles.components.distillation.answer_cache import AnswerCache

IDENTITY = (PROMPT.sha256, "openai", MODEL_NAME)
REPORTS = 230
KILLS = 10
FAULTS = Faults(seed=1, truncated=0.04, wrong_shape=0.04, hallucinated=0.04, permanent=0.04)


def write_reports(path: Path) -> dict[str, dict[str, str]]:
    """Write a datalist, a few of whose reports occur twice; return its reports by digest."""
    sides, names = ("left", "right", "bilateral"), ("effusion", "atelectasis", "nodule", "fracture")
    reports = []
    for number in range(REPORTS):
        number %= REPORTS - 10
        first = f"Study {number}: small {sides[number % 3]} {names[number % 4]}."
        reports.append({"findings": f"{first} No edema.", "impression": f"Perhaps {names[(number + 1) % 4]}."})
    rows = ({"id": f"r{n}", "split": "test", "image": "x.png", "report": report} for n, report in enumerate(reports))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {report_sha256(report): report for report in reports}


def server_keys(reports: dict[str, dict[str, str]]) -> dict[str, str]:
    return {digest: report_key(PROMPT.messages(report)) for digest, report in reports.items()}


def written(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), out.with_name(f"{out.name}.failures.jsonl").read_bytes()


def kill_when(server: ChatServer, process: Any, more: int, pause: float) -> None:
    """Kill a process when the server has answered it a few times and a moment has passed."""
    wanted = server.answered.total() + more
    end = time.monotonic() + 30
    while server.answered.total() < wanted:
        assert process.is_alive(), "the job ended before it was killed"
        assert time.monotonic() < end, "the job does not get on"
        time.sleep(0.002)
    time.sleep(pause)
    process.kill()
    process.join()
    server.wait_until_idle()


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="needs POSIX")
def test_killed_ten_times_the_job_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    datalist = tmp_path / "list.jsonl"
    keys = server_keys(write_reports(datalist))
    with ChatServer(FAULTS, slow=0.05) as server:
        undisturbed = server_job(server.base_url, datalist, tmp_path / "whole.jsonl", slots=3)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["openai", "tests.components.distillation.killed_job"])
    draw = random.Random(6)
    out = tmp_path / "killed.jsonl"
    safe: dict[str, int] = {}
    cached: list[int] = []
    with ChatServer(FAULTS, slow=0.05) as server:
        for _ in range(KILLS):
            process = context.Process(target=server_job, args=(server.base_url, datalist, out))
            process.start()
            kill_when(server, process, draw.randint(1, 2 * SHARD), draw.uniform(0.0, 0.05))
            assert not out.exists()
            with AnswerCache(f"{out}.answers.sqlite", IDENTITY) as cache:
                found = cache.find(keys)
            cached.append(len(found))
            for digest in found:
                safe.setdefault(keys[digest], server.requests[keys[digest]])
        shards = len(list((tmp_path / "killed.jsonl.parts").glob("*.jsonl")))
        summary = server_job(server.base_url, datalist, out)
        assert {key: server.requests[key] for key in safe} == safe
        assert cached == sorted(cached) and 0 < cached[-1] < len(keys)
        assert summary["asked"] == len(keys) - cached[-1]
        assert summary["resumed_shards"] == shards > 0
        assert written(out) == written(tmp_path / "whole.jsonl")
        assert sorted(path.name for path in tmp_path.glob("killed*")) == sorted(
            path.name.replace("whole", "killed") for path in tmp_path.glob("whole*")
        )
        same = ("reports", "failures", "failed_reasons", "certainty", "entities", "rejected_spans")
        assert {key: summary[key] for key in same} == {key: undisturbed[key] for key in same}
        assert summary["failures"] > 3 and summary["rejected_spans"] > 3

        before = server.requests.copy()
        retried = server_job(server.base_url, datalist, out, retry_failed=True)
        with AnswerCache(f"{out}.answers.sqlite", IDENTITY) as cache:
            failed = {keys[digest] for digest, outcome in cache.find(keys).items() if outcome.output is None}
        assert {key for key, count in server.requests.items() if count > before[key]} == failed
        assert retried["asked"] == len(failed) and written(out) == written(tmp_path / "whole.jsonl")
