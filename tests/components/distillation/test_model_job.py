# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The job over a datalist, with a language model."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.components.distillation.chat_server import ChatServer, Faults
from tests.components.distillation.killed_job import server_job
from tests.components.distillation.scripted_model import PROMPT, ScriptedModel, ThreadedModel, found, reply, turns
from tqdm import tqdm

from radbundles.components.data.records import report_sha256
from radbundles.components.distillation import (
    LanguageModelDistiller,
    RuleDistiller,
    count_items,
    distill_datalist,
    record_faults,
)
from radbundles.components.distillation.answer_cache import AnswerCache
from radbundles.components.distillation.chat import ChatError, ChatUnavailableError, ConversationError, Message, Reply

SECRET = "Smithson"


def say(messages: Sequence[Message]) -> Reply | str | Exception:
    """Quotes the report; says no JSON of "garbled" ones, turns "endless" ones down, invents in "dreamy" ones."""
    report = turns(messages)[0]
    text = report.split("\n", 1)[1].split("\n")[0]
    if "garbled" in text:
        return text
    if "endless" in text:
        return ConversationError("the conversation is too long")
    if "dreamy" in text:
        return reply(found("what nobody said", "edema"), found(text, "nodule", "uncertain"))
    return reply(found(text))


def item(name: str, text: str | None = None, **fields: Any) -> dict[str, Any]:
    report = {} if text is None else {"report": {"findings": text}}
    return {"id": name, "split": "training", "image": f"{name}.png", **report, **fields}


def write_lines(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def model_job(datalist: Path, out: Path, model: ScriptedModel | None = None, **options: Any) -> dict[str, Any]:
    distiller = LanguageModelDistiller(ScriptedModel(say) if model is None else model, PROMPT)
    return distill_datalist(datalist, out, distiller, **options)


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    return write_lines(
        tmp_path / "list.jsonl",
        item("a", "Effusion one."),
        item("b"),
        item("c", "A garbled report."),
        "{broken",
        item("d", "Effusion two."),
        item("twin", "Effusion one."),
        item("e", "An endless report."),
        item("f", "A dreamy report."),
        item("g", report={"indication": "Effusion?"}),
        item("a", "Effusion three."),
    )


def many(path: Path, count: int) -> Path:
    words = ["plain", "plain", "plain", "plain", "dreamy", "garbled", "endless"]
    texts = [f"Report {number} {words[number % 7]}." for number in range(count - 5)]
    return write_lines(path, *(item(f"r{n}", texts[n % len(texts)]) for n in range(count)))


def test_every_row_has_its_record_or_its_reason(datalist: Path, tmp_path: Path) -> None:
    ticks: list[int] = []
    out = tmp_path / "new" / "out.jsonl"
    summary = model_job(datalist, out, progress=lambda: ticks.append(1))
    records = read_lines(out)
    assert [(record["id"], record["text"]) for record in records] == [
        ("a", "There is effusion."),
        ("b", ""),
        ("d", "There is effusion."),
        ("twin", "There is effusion."),
        ("f", "There may be nodule."),
        ("g", ""),
    ]
    assert not any(record_faults(record) for record in records)
    assert {(record["backend"], record["version"]) for record in records} == {
        ("scripted", f"script-1+chest-{PROMPT.version}.{PROMPT.sha256[:8]}")
    }
    failures = read_lines(tmp_path / "new" / "out.jsonl.failures.jsonl")
    assert [(row["row"], row["id"], row["reason"]) for row in failures] == [
        (3, "c", "the reply was not JSON"),
        (4, None, "the row is not an item of a datalist; radbundles data check says why"),
        (7, "e", "the conversation is too long"),
        (10, "a", "an item with this id came before"),
    ]
    assert len(ticks) == count_items(datalist) == 10
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "out.jsonl",
        "out.jsonl.answers.sqlite",
        "out.jsonl.failures.jsonl",
    ]
    seconds, rate = summary.pop("seconds"), summary.pop("reports_per_second")
    assert seconds > 0 and rate == pytest.approx(5 / seconds, rel=0.2)
    assert summary == {
        "out": str(out),
        "failures_out": str(tmp_path / "new" / "out.jsonl.failures.jsonl"),
        "cache": str(tmp_path / "new" / "out.jsonl.answers.sqlite"),
        "backend": "scripted",
        "version": records[0]["version"],
        "reports": 5,
        "without_report": 1,
        "without_entity": 1,
        "failures": 4,
        "failed_reasons": {row["reason"]: 1 for row in failures},
        "sentences": 4,
        "certainty": {"present": 3, "uncertain": 1, "absent": 0},
        "entities": {"effusion": {"present": 3}, "nodule": {"uncertain": 1}},
        "rejected_spans": 3,
        "rejected_descriptors": 0,
        "asked": 5,
        "from_cache": 1,
        "requests": 2 + 3 + 1 + 3,
        "tokens": {"prompt": 800, "completion": 80},
        "resumed_shards": 0,
    }


def test_second_run_asks_nothing_and_writes_the_same(datalist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = model_job(datalist, out)
    before = (out.read_bytes(), (tmp_path / "out.jsonl.failures.jsonl").read_bytes())
    model = ScriptedModel(say)
    second = model_job(datalist, out, model)
    assert model.asked == []
    assert (out.read_bytes(), (tmp_path / "out.jsonl.failures.jsonl").read_bytes()) == before
    own = {"asked", "from_cache", "requests", "tokens", "seconds", "reports_per_second"}
    assert {key: first[key] for key in first.keys() - own} == {key: second[key] for key in second.keys() - own}
    assert (second["asked"], second["from_cache"], second["requests"]) == (0, 6, 0)


def test_another_model_is_asked_anew(datalist: Path, tmp_path: Path) -> None:
    model_job(datalist, tmp_path / "out.jsonl")
    model = ScriptedModel(say, model="script-2")
    assert model_job(datalist, tmp_path / "out.jsonl", model)["asked"] == 5


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_output_does_not_depend_on_concurrency_or_shards(tmp_path: Path, slots: int) -> None:
    datalist = many(tmp_path / "list.jsonl", 90)
    wanted = model_job(datalist, tmp_path / "1.jsonl")
    model = ThreadedModel(say, slots=slots, seed=slots)
    given = model_job(datalist, tmp_path / "2.jsonl", model, shard_size=7)
    model.close()
    for ending in ("", ".failures.jsonl"):
        assert (tmp_path / f"2.jsonl{ending}").read_bytes() == (tmp_path / f"1.jsonl{ending}").read_bytes()
    assert given["asked"] == wanted["asked"] == 85
    assert {turns(messages)[0] for messages in model.asked} == {
        PROMPT.messages(row["report"])[-1]["content"] for row in read_lines(datalist)
    }


def test_twins_far_apart_are_asked_once_even_while_under_way(tmp_path: Path) -> None:
    rows = [item(f"r{n}", f"Effusion {n % 4}.") for n in range(40)]
    model = ThreadedModel(say, slots=8, seed=0)
    summary = model_job(write_lines(tmp_path / "list.jsonl", *rows), tmp_path / "out.jsonl", model, shard_size=2)
    model.close()
    assert (len(model.asked), summary["asked"], summary["from_cache"], summary["reports"]) == (4, 4, 36, 40)


def test_what_the_model_does_not_see_makes_no_difference(tmp_path: Path) -> None:
    rows = [
        item(f"r{n}", report={"indication": f"Cough for {n} days.", "findings": "Effusion at the base."})
        for n in range(4)
    ]
    model = ScriptedModel(say)
    summary = model_job(write_lines(tmp_path / "list.jsonl", *rows), tmp_path / "out.jsonl", model)
    assert (summary["asked"], summary["from_cache"], len(model.asked)) == (1, 3, 1)
    records = read_lines(tmp_path / "out.jsonl")
    assert len({record["report_sha256"] for record in records}) == 4
    assert [record["report_sha256"] for record in records] == [report_sha256(row["report"]) for row in rows]
    assert {record["entities"][0]["evidence"]["section"] for record in records} == {"findings"}


def test_failures_are_asked_again_on_demand_only(datalist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    model_job(datalist, out)
    model = ScriptedModel(lambda messages: say(messages) if "endless" in turns(messages)[0] else reply())
    summary = model_job(datalist, out, model, retry_failed=True)
    asked = sorted(turns(messages)[0] for messages in model.asked)
    assert len(asked) == 2 and "garbled" in asked[0] and "endless" in asked[1]
    assert (summary["asked"], summary["failures"]) == (2, 3)
    assert [row["id"] for row in read_lines(tmp_path / "out.jsonl.failures.jsonl")] == [None, "e", "a"]
    assert "c" in [record["id"] for record in read_lines(out)]


def test_old_failures_vanish_after_a_good_run(tmp_path: Path) -> None:
    datalist = write_lines(tmp_path / "list.jsonl", item("a", "A garbled report."))
    model_job(datalist, tmp_path / "out.jsonl")
    good = ScriptedModel(lambda _: reply())
    summary = model_job(datalist, tmp_path / "out.jsonl", good, retry_failed=True)
    assert summary["failures_out"] is None and not (tmp_path / "out.jsonl.failures.jsonl").exists()


def test_model_that_dies_leaves_its_answers_and_no_failures(tmp_path: Path) -> None:
    datalist = many(tmp_path / "list.jsonl", 60)
    out = tmp_path / "out.jsonl"
    out.write_text("old\n")
    dying = ScriptedModel(lambda messages: say(messages) if len(dying.asked) <= 50 else ChatError("no connection"))
    with pytest.raises(ChatUnavailableError, match="no reply 16 times in a row"):
        model_job(datalist, out, dying, shard_size=4)
    assert out.read_text() == "old\n"
    assert list((tmp_path / "out.jsonl.parts").iterdir())
    texts = {report_sha256(row["report"]): row["report"]["findings"] for row in read_lines(datalist)}
    model = ScriptedModel(say)
    with AnswerCache(f"{out}.answers.sqlite", LanguageModelDistiller(model, PROMPT).identity) as cache:
        kept = cache.find(texts)
    assert "no connection" not in [outcome.reason for outcome in kept.values()]
    summary = model_job(datalist, out, model, shard_size=4)
    assert summary["resumed_shards"] > 3
    assert len(kept) > 20 and summary["asked"] == 55 - len(kept)
    assert not {f"findings:\n{texts[digest]}" for digest in kept} & {turns(messages)[0] for messages in model.asked}
    assert "no connection" not in summary["failed_reasons"]
    assert not (tmp_path / "out.jsonl.parts").exists()
    undisturbed = model_job(datalist, tmp_path / "2.jsonl")
    assert out.read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    for key in ("reports", "failures", "failed_reasons", "certainty", "entities", "rejected_spans"):
        assert summary[key] == undisturbed[key]


def test_shards_of_forgotten_failures_are_made_anew(tmp_path: Path) -> None:
    datalist = many(tmp_path / "list.jsonl", 60)
    out = tmp_path / "out.jsonl"
    dying = ScriptedModel(lambda messages: say(messages) if len(dying.asked) <= 50 else ChatError("no connection"))
    with pytest.raises(ChatUnavailableError):
        model_job(datalist, out, dying, shard_size=4)
    summary = model_job(datalist, out, ScriptedModel(lambda _: reply()), shard_size=4, retry_failed=True)
    assert (summary["failures"], summary["resumed_shards"]) == (0, 0)


def test_shards_of_another_datalist_are_not_taken(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    dying = ScriptedModel(lambda messages: say(messages) if len(dying.asked) <= 50 else ChatError("no connection"))
    with pytest.raises(ChatUnavailableError):
        model_job(many(tmp_path / "list.jsonl", 60), out, dying, shard_size=4)
    foreign = tmp_path / "out.jsonl.parts" / "mine.txt"
    foreign.write_text("mine")
    summary = model_job(write_lines(tmp_path / "other.jsonl", item("new", "Effusion.")), out, shard_size=4)
    assert summary["resumed_shards"] == 0
    assert [record["id"] for record in read_lines(out)] == ["new"]
    assert [path.name for path in foreign.parent.iterdir()] == ["mine.txt"]


def test_rows_of_eight_shards_wait_and_no_more(tmp_path: Path) -> None:
    """That bounds the memory of a job whose every shard has a slow report."""
    gate = threading.Event()
    quick: list[str] = []
    before: list[int] = []

    def open_gate() -> None:
        before.append(len(quick))
        gate.set()

    def slow_half(messages: Sequence[Message]) -> Reply | str | Exception:
        if int(turns(messages)[0].rsplit(maxsplit=1)[1].strip(".")) % 2:
            quick.append(turns(messages)[0])
            if len(quick) == 8:
                threading.Timer(0.2, open_gate).start()
        else:
            assert gate.wait(20)
        return say(messages)

    rows = [item(f"r{n}", f"Effusion {n}.") for n in range(40)]
    model = ThreadedModel(slow_half, slots=16, seed=0)
    model_job(write_lines(tmp_path / "list.jsonl", *rows), tmp_path / "out.jsonl", model, shard_size=2)
    model.close()
    assert [record["id"] for record in read_lines(tmp_path / "out.jsonl")] == [f"r{n}" for n in range(40)]
    assert before == [8]


def test_only_some_items(datalist: Path, tmp_path: Path) -> None:
    summary = model_job(datalist, tmp_path / "1.jsonl", only=["d", "c", "nobody"])
    assert [record["id"] for record in read_lines(tmp_path / "1.jsonl")] == ["d"]
    assert (summary["asked"], summary["reports"], summary["failures"]) == (2, 1, 1)
    rules = distill_datalist(datalist, tmp_path / "2.jsonl", RuleDistiller(), only={"d", "f"})
    assert [record["id"] for record in read_lines(tmp_path / "2.jsonl")] == ["d", "f"]
    assert rules["failures"] == 0


def test_text_leaks_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    texts = [f"{SECRET} effusion.", f"{SECRET} garbled.", f"{SECRET} broken off.", f"{SECRET} dreamy."]
    rows = [item(f"id-{n}", text, patient="P-777") for n, text in enumerate(texts)]

    def careless(messages: Sequence[Message]) -> Reply | str | Exception:
        return RuntimeError(turns(messages)[0]) if "broken off" in turns(messages)[0] else say(messages)

    out = tmp_path / "out.jsonl"
    summary = model_job(write_lines(tmp_path / "list.jsonl", *rows), out, ScriptedModel(careless))
    assert summary["failed_reasons"] == {
        "the reply was not JSON": 1,
        "the backend scripted failed with RuntimeError": 1,
    }
    with pytest.raises(ChatUnavailableError) as error:
        gone = ScriptedModel(lambda messages: RuntimeError(turns(messages)[0]), model="gone")
        model_job(many(tmp_path / "many.jsonl", 60), tmp_path / "gone.jsonl", gone)
    caught = "".join(traceback.format_exception(error.value, chain=True))
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("out"))
    everything = "".join([json.dumps(summary), caplog.text, *capfd.readouterr(), files.decode("utf-8", "replace")])
    assert SECRET not in everything and "P-777" not in everything
    assert "Report 1" not in caught.split("Error")[-1]
    assert b"id-0" not in (tmp_path / "out.jsonl.answers.sqlite").read_bytes()


def test_text_leaks_nowhere_on_the_way_to_a_server_and_back(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_LOG", "debug")
    caplog.set_level("DEBUG")
    sentence = f"{SECRET} has a small left effusion of"
    rows = [item(f"id-{n}", f"{sentence} {n} mm.", patient="P-777") for n in range(24)]
    datalist, out = write_lines(tmp_path / "list.jsonl", *rows), tmp_path / "out.jsonl"
    faults = Faults(slow=0.0, dropped=0.05, truncated=0.1, wrong_shape=0.1, hallucinated=0.2, permanent=0.3)
    with ChatServer(faults) as server, tqdm(total=24, file=sys.stderr, mininterval=0) as bar:
        summary = server_job(server.base_url, datalist, out, progress=bar.update)
    with pytest.raises(ChatUnavailableError) as error:  # the server is gone now
        server_job(server.base_url, datalist, out, retry_failed=True)
    assert summary["failures"] > 2 and summary["rejected_spans"] > 0
    said = capfd.readouterr()
    assert "24/24" in said.err
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path != datalist).decode("utf-8", "replace")
    caught = "".join(traceback.format_exception(error.value))
    for place in (json.dumps(summary), caplog.text, said.out, said.err, files, caught):
        assert SECRET not in place and "P-777" not in place and "small left effusion" not in place


def test_rules_have_no_cache(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rules has no cache"):
        distill_datalist(datalist, tmp_path / "out.jsonl", RuleDistiller(), cache=tmp_path / "cache.sqlite")
    with pytest.raises(ValueError, match="nothing to retry"):
        distill_datalist(datalist, tmp_path / "out.jsonl", RuleDistiller(), retry_failed=True)


def test_cache_has_the_name_that_is_given(datalist: Path, tmp_path: Path) -> None:
    cache = tmp_path / "caches" / "answers.sqlite"
    model_job(datalist, tmp_path / "1.jsonl", cache=cache)
    assert model_job(datalist, tmp_path / "2.jsonl", cache=cache)["asked"] == 0
    assert not (tmp_path / "1.jsonl.answers.sqlite").exists()


def test_datalist_is_never_taken_for_the_cache(datalist: Path, tmp_path: Path) -> None:
    before = datalist.read_bytes()
    with pytest.raises(ValueError, match=r"list\.jsonl is damaged or no cache of answers"):
        model_job(datalist, tmp_path / "out.jsonl", cache=datalist)
    assert datalist.read_bytes() == before


def test_shard_size_is_checked(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shard_size must be at least 1, not 0"):
        model_job(datalist, tmp_path / "out.jsonl", shard_size=0)


def test_items_of_a_json_datalist_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": [{}, {}], "test": [{}]}))
    assert count_items(path) == 3
