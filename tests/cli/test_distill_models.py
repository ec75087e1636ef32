# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles distill`` with language models: a real server on loopback, a real model in this process."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.components.distillation.chat_server import MODEL_NAME, NO_FAULTS, ChatServer, Faults
from tests.components.distillation.tiny_model import TinyModel
from typer.testing import CliRunner, Result

from radbundles.cli import distill_command
from radbundles.cli.app import app
from radbundles.components.distillation import record_faults

assert distill_command  # importing it adds the command
runner = CliRunner()

WORDS = (
    "small",
    "left",
    "effusion",
    "heart",
    "size",
    "normal",
    "no",
    "pneumothorax",
    "opacity",
    "clear",
    "lungs",
    "at",
)


def report(number: int) -> dict[str, str]:
    words = [WORDS[(number * (place + 3) + place * place) % len(WORDS)] for place in range(9)]
    return {"findings": f"Study {number}. {' '.join(words[:5])}. {' '.join(words[5:])}.", "impression": "No change."}


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({"split": "training", "image": "x.png", **item}) + "\n" for item in items))
    return path


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    return write(tmp_path / "list.jsonl", [{"id": f"item-{n}", "report": report(n)} for n in range(12)])


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(NO_FAULTS) as running:
        yield running


def ask(server: ChatServer, datalist: Path, *options: str) -> Result:
    out = str(datalist.with_name("out.jsonl"))
    common = ["--out", out, "--backend", "openai", "--base-url", server.base_url, "--json"]
    return runner.invoke(app, ["distill", str(datalist), *common, *options])


def test_the_only_model_of_a_server_distills(server: ChatServer, datalist: Path) -> None:
    result = ask(server, datalist)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["asked"], summary["from_cache"], summary["failures"]) == (12, 0, 0)
    assert summary["tokens"]["prompt"] > summary["tokens"]["completion"] > 0
    records = [json.loads(line) for line in datalist.with_name("out.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"item-{n}" for n in range(12)]
    assert not any(record_faults(record) for record in records)
    assert sum(len(record["entities"]) for record in records) == summary["sentences"] > 0


def test_a_second_job_asks_only_what_is_new(server: ChatServer, datalist: Path) -> None:
    assert ask(server, datalist).exit_code == 0
    first = datalist.with_name("out.jsonl").read_text()
    write(datalist, [{"id": f"item-{n}", "report": report(n)} for n in range(13)])
    summary = json.loads(ask(server, datalist).stdout)
    assert (summary["asked"], summary["from_cache"]) == (1, 12)
    assert datalist.with_name("out.jsonl").read_text().startswith(first)


def test_failures_are_kept_with_their_reason_and_asked_again_on_demand(datalist: Path) -> None:
    with ChatServer(Faults(slow=0, too_many=0, error=0, dropped=0, permanent=1.0)) as broken:
        result = ask(broken, datalist, "--attempts", "2")
        assert result.exit_code == 1
        assert sum(json.loads(result.stdout)["failed_reasons"].values()) == 12
        failures = [
            json.loads(line) for line in (datalist.parent / "out.jsonl.failures.jsonl").read_text().splitlines()
        ]
        assert [failure["id"] for failure in failures] == [f"item-{n}" for n in range(12)]
        assert json.loads(ask(broken, datalist, "--attempts", "2").stdout)["asked"] == 0
    with ChatServer(NO_FAULTS) as mended:
        assert json.loads(ask(mended, datalist).stdout)["failures"] == 12
        result = ask(mended, datalist, "--retry-failed")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["asked"] == 12


@pytest.fixture
def german(tmp_path: Path) -> Path:
    """A short prompt in another language."""
    chest = json.loads(
        Path(distill_command.__file__)
        .parents[1]
        .joinpath("components/distillation/prompts/chest.json")
        .read_text(encoding="utf-8")
    )
    content = {
        **chest,
        "name": "thorax",
        "language": "de",
        "entities": [{"name": "effusion", "phrase": "ein Erguss"}, {"name": "mass", "phrase": "eine Raumforderung"}],
        "instructions": ["Nenne, was der Befund über {entities} sagt, als JSON."],
        "templates": {
            "present": "Es besteht {}.",
            "uncertain": "Möglicherweise besteht {}.",
            "absent": "Es besteht nicht {}.",
        },
        "examples": [
            {
                "report": {"befund": "Kein Erguss. Verdacht auf Raumforderung rechts."},
                "answer": {
                    "findings": [
                        {"evidence": "Kein Erguss", "entity": "effusion", "certainty": "absent", "descriptors": []},
                        {
                            "evidence": "Verdacht auf Raumforderung",
                            "entity": "mass",
                            "certainty": "uncertain",
                            "descriptors": ["rechts"],
                        },
                    ]
                },
            }
        ],
    }
    prompt = tmp_path / "thorax.json"
    prompt.write_text(json.dumps(content), encoding="utf-8")
    return prompt


def test_a_prompt_in_another_language_gives_sentences_in_it(server: ChatServer, german: Path, tmp_path: Path) -> None:
    texts = ["Kleiner Erguss links basal.", "Lungen frei belüftet.", "Keine Stauung, Herz schlank.", "Rundherd rechts."]
    items = [{"id": str(n), "report": {"befund": text}} for n, text in enumerate(texts)]
    result = ask(server, write(tmp_path / "list.jsonl", items), "--prompt", str(german))
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    sentences = [sentence for line in lines for sentence in re.findall(r"[^.]+\.", json.loads(line)["text"])]
    assert sentences
    assert all(re.fullmatch(r" ?(Es|Möglicherweise) besteht (nicht )?ein\w* \w+\.", sentence) for sentence in sentences)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--base-url", "http://192.0.2.7:8000/v1"], "--allow-remote"),
        (["--base-url", "http://name:word@127.0.0.1/v1"], "user name or password"),
        (["--prompt", "knee"], "knee"),
        (["--batch-size", "2"], "--backend transformers"),
    ],
)
def test_what_is_refused_before_anything_is_sent(datalist: Path, options: list[str], words: str) -> None:
    out = datalist.with_name("out.jsonl")
    result = runner.invoke(
        app, ["distill", str(datalist), "--out", str(out), "--backend", "openai", "--model", "m", *options]
    )
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
    assert "word@" not in result.output
    assert not out.exists()


def test_options_of_a_model_are_refused_with_the_rules(datalist: Path) -> None:
    result = runner.invoke(app, ["distill", str(datalist), "--out", "o.jsonl", "--model", "m"])
    assert result.exit_code == 2
    assert "openai and transformers" in " ".join(result.output.replace("│", " ").split())


def test_a_server_that_is_not_there_stops_the_job_and_writes_nothing_off(datalist: Path) -> None:
    with ChatServer(NO_FAULTS) as running:
        gone = running.base_url
    write(datalist, [{"id": f"item-{n}", "report": report(n)} for n in range(40)])
    out = datalist.with_name("out.jsonl")
    options = ["--out", str(out), "--backend", "openai", "--base-url", gone, "--model", MODEL_NAME, "--retries", "0"]
    result = runner.invoke(app, ["distill", str(datalist), *options])
    assert result.exit_code == 2
    assert "give the same command again" in result.stderr
    assert not out.exists()
    with ChatServer(NO_FAULTS) as back:
        options[options.index(gone)] = back.base_url
        assert runner.invoke(app, ["distill", str(datalist), *options]).exit_code == 0
    assert len(out.read_text().splitlines()) == 40


def test_a_model_in_this_process_distills(tmp_path: Path, german: Path, datalist: Path) -> None:
    tiny = TinyModel()
    tiny.network.save_pretrained(tmp_path / "tiny")
    tiny.tokenizer.save_pretrained(tmp_path / "tiny")
    out = tmp_path / "out.jsonl"
    options = [
        "--backend",
        "transformers",
        "--device",
        "cpu",
        "--max-tokens",
        "8",
        "--attempts",
        "1",
        "--batch-size",
        "4",
    ]
    common = ["--out", str(out), "--model", str(tmp_path / "tiny"), "--json", "--prompt", str(german)]
    result = runner.invoke(app, ["distill", str(datalist), *common, *options])
    # Random words are no JSON, so every row fails: with a reason, after a real reply.
    assert result.exit_code == 1, result.output
    summary = json.loads(result.stdout)
    assert (summary["asked"], summary["failures"], summary["requests"]) == (12, 12, 12)
    assert summary["tokens"]["completion"] > 0
    assert str(tmp_path) not in summary["version"]


def test_evaluation_distills_the_labeled_reports_alone(server: ChatServer, datalist: Path) -> None:
    from radbundles.components.distillation import LabelRow, make_labels, write_labels

    reports = {f"item-{n}": report(n) for n in range(3)}
    rows = [LabelRow(name, "findings", "effusion", "absent", "Study") for name in reports]
    labels = datalist.with_name("labels.jsonl")
    write_labels(labels, make_labels(rows, reports))
    result = runner.invoke(app, ["distill", str(datalist), "--evaluate", str(labels), "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["reports"] == 3
    assert summary["out"] is None
    assert summary["quality"]["scopes"][0]["labels"] == 3
    result = ask(server, datalist, "--evaluate", str(labels))
    assert json.loads(result.stdout)["asked"] == 3
    assert len(datalist.with_name("out.jsonl").read_text().splitlines()) == 3
    text = runner.invoke(app, ["distill", str(datalist), "--evaluate", str(labels)]).stdout
    assert "F1 (95 % interval)" in text


def test_an_evaluation_that_is_cut_off_does_not_claim_to_have_kept_answers(datalist: Path) -> None:
    from radbundles.components.distillation import LabelRow, make_labels, write_labels

    reports = {f"item-{n}": report(n) for n in range(40)}
    write(datalist, [{"id": name, "report": text} for name, text in reports.items()])
    labels = datalist.with_name("labels.jsonl")
    write_labels(labels, make_labels([LabelRow(name) for name in reports], reports))
    with ChatServer(NO_FAULTS) as running:
        gone = running.base_url
    options = ["--backend", "openai", "--base-url", gone, "--model", MODEL_NAME, "--retries", "0"]
    command = ["distill", str(datalist), "--evaluate", str(labels), *options]
    result = runner.invoke(app, command)
    assert result.exit_code == 2
    assert "No answer is kept" in result.stderr and "same command" not in result.stderr
    assert "same command" in runner.invoke(app, [*command, "--cache", str(datalist.with_name("c.sqlite"))]).stderr


def test_nowhere_to_write_and_nothing_to_compare_is_refused(datalist: Path) -> None:
    result = runner.invoke(app, ["distill", str(datalist)])
    assert result.exit_code == 2
    assert "--out" in result.output and "--evaluate" in result.output


PATIENT = "Quartzwright, Zebedee"
NUMBER = "MRN-83726459"
SENTENCE = "A lemon-shaped nodule was discussed with Zebedee Quartzwright"
LOUD = "import logging, sys; logging.basicConfig(level=logging.DEBUG); from radbundles.cli import main; main()"


def watch(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run on a terminal, as people do; return the exit code and all that appeared on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}, close_fds=True
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    return process.wait(), seen.decode("utf-8", "replace")


def test_no_name_number_or_sentence_of_a_report_is_seen_anywhere(tmp_path: Path) -> None:
    planted = {"findings": f"{SENTENCE} ({NUMBER}).", "impression": f"{PATIENT}: see above."}
    items: list[dict[str, Any]] = [
        {"id": f"item-{n}", "patient": PATIENT, "report": {**planted, "findings": planted["findings"] + f" Film {n}."}}
        for n in range(24)
    ]
    datalist = write(tmp_path / "list.jsonl", items)
    with open(
        datalist, "a", encoding="utf-8"
    ) as file:  # rows that cannot be used: half a line, a report of the wrong kind
        file.write(json.dumps({"id": "odd", "split": "training", "image": "x.png", "report": [SENTENCE]}) + "\n")
        file.write(json.dumps({"report": planted})[:60] + "\n")
    loud = {"OPENAI_LOG": "debug", "PYTHONWARNINGS": "always", "OPENAI_API_KEY": "key-of-the-planted-test"}
    faults = Faults(
        seed=3, slow=0.1, too_many=0.2, error=0.2, dropped=0.2, truncated=0.2, wrong_shape=0.2, permanent=0.3
    )
    out = tmp_path / "out.jsonl"
    with ChatServer(faults, slow=0.05) as running:
        command = [sys.executable, "-c", LOUD, "distill", str(datalist), "--out", str(out), "--backend", "openai"]
        code, seen = watch([*command, "--base-url", running.base_url, "--attempts", "2"], loud)
    assert code == 1, seen
    assert "26/26" in seen  # the bar with its ETA was there
    stopped, more = watch([*command, "--base-url", running.base_url, "--model", "x", "--retries", "0"], loud)
    assert stopped == 2, more
    crashed, most = watch([*command, "--base-url", running.base_url, "--model", "x", "--cache", str(tmp_path)], loud)
    assert crashed == 2, most
    places = {
        "terminal": seen + more + most,
        "failures": (tmp_path / "out.jsonl.failures.jsonl").read_text(encoding="utf-8"),
        "cache": b"".join(path.read_bytes() for path in tmp_path.glob("out.jsonl.answers.sqlite*")).decode("latin-1"),
    }
    assert len(places["failures"].splitlines()) > 2 and len(places["cache"]) > 1000
    for name, text in places.items():
        for secret in (PATIENT, NUMBER, SENTENCE, "Zebedee Quartz", "key-of-the-planted-test"):
            assert secret.lower() not in text.lower(), (name, secret)
