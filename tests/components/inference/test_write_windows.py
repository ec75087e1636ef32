# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from radbundles.components.data import load_datalist
from radbundles.components.inference import place_windows, report_attention_transform, write_windows
from radbundles.networks import ECAMP

Make = Callable[[], ECAMP]
Items = list[dict[str, Any]]


def write(path: Path, items: Items, *broken: str) -> Path:
    path.write_text("".join(json.dumps({"split": "training", **item}) + "\n" for item in items) + "".join(broken))
    return path


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_item_has_a_record_in_order(
    tmp_path: Path, tokenizer_file: Path, items: Items, looks_at_the_brightest: Make, batch_size: int
) -> None:
    source, out = write(tmp_path / "data.jsonl", items), tmp_path / "windows.jsonl"
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    network, seen = looks_at_the_brightest().train(), [0]

    def progress() -> None:
        seen[0] += 1

    summary = write_windows(
        network, source, out, transform=transform, batch_size=batch_size, source="me", progress=progress
    )
    windows = {record["id"]: record["window"] for record in records(out)}
    assert list(windows) == [item["id"] for item in items]
    assert windows == {"a": [0, 0], "b": [0, 2], "c": [2, 0], "d": [1, 1], "gone": None, "mute": None}
    assert {record["network"] for record in records(out)} == {"me"}
    failures = records(tmp_path / "windows.jsonl.failures.jsonl")
    assert [(failure["row"], failure["id"]) for failure in failures] == [(5, "gone"), (6, "mute")]
    counts = {key: summary[key] for key in ("items", "annotated", "without_entity", "failures")}
    assert counts == {"items": 6, "annotated": 3, "without_entity": 1, "failures": 2} and seen == [6]
    assert summary["places"] == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert network.training


def test_rows_that_are_no_items_are_listed_and_the_rest_goes_on(
    tmp_path: Path, tokenizer_file: Path, items: Items, looks_at_the_brightest: Make
) -> None:
    bad: Items = [{"id": "e", "image": "a.png", "window": [7, 7]}, {"image": "a.png"}, items[0]]
    source = write(tmp_path / "data.jsonl", [items[0], *bad], "{broken\n")
    out = tmp_path / "windows.jsonl"
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    summary = write_windows(looks_at_the_brightest(), source, out, transform=transform)
    assert [(record["id"], record["window"]) for record in records(out)] == [("a", [0, 0]), ("e", None)]
    failures = records(tmp_path / "windows.jsonl.failures.jsonl")
    assert [failure["row"] for failure in failures] == [2, 3, 4, 5] and summary["failures"] == 4
    assert failures[0]["reason"].startswith("window")


def test_failures_of_an_earlier_run_do_not_stay(
    tmp_path: Path, tokenizer_file: Path, items: Items, looks_at_the_brightest: Make
) -> None:
    out, failures = tmp_path / "windows.jsonl", tmp_path / "windows.jsonl.failures.jsonl"
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    write_windows(looks_at_the_brightest(), write(tmp_path / "data.jsonl", items), out, transform=transform)
    assert failures.exists()
    write_windows(looks_at_the_brightest(), write(tmp_path / "data.jsonl", items[:4]), out, transform=transform)
    assert not failures.exists() and len(records(out)) == 4


def test_nothing_private_is_written_or_logged(
    tmp_path: Path,
    tokenizer_file: Path,
    items: Items,
    looks_at_the_brightest: Make,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = "Mrs Quixwell has an effusion in the lower field"
    for item in items:
        item["patient"] = "secret-patient"
        item["report"] = {"findings": said} if item["report"]["findings"] else {"indication": said}
    source, out = write(tmp_path / "data.jsonl", items), tmp_path / "windows.jsonl"
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    with caplog.at_level(logging.DEBUG):
        summary = write_windows(looks_at_the_brightest(), source, out, transform=transform)
    told = "".join([str(summary), caplog.text, *capfd.readouterr(), out.read_text()])
    told += (tmp_path / "windows.jsonl.failures.jsonl").read_text()
    assert summary["failures"] == 2 and "gone.png" in told
    assert not [word for word in ("secret-patient", "Quixwell", "effusion", "lower field") if word in told]


def test_the_distilled_sentences_are_read_before_the_report(tmp_path: Path, tokenizer_file: Path, items: Items) -> None:
    distilled = tmp_path / "distilled.jsonl"
    distilled.write_text('{"id": "d", "text": "There is edema"}\n{"id": "a", "text": " "}\n')
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64, distilled=distilled)
    samples = {item["id"]: item | {"image": str(tmp_path / item["image"])} for item in items}
    assert transform(samples["d"])["text"] == "There is edema. All good."
    assert int(transform(samples["d"])["entity"].sum()) == len("edema")
    assert transform(samples["a"])["text"] == "Small effusion."


def test_an_item_without_distilled_text_is_a_failure(
    tmp_path: Path, tokenizer_file: Path, items: Items, looks_at_the_brightest: Make
) -> None:
    distilled = tmp_path / "distilled.jsonl"
    distilled.write_text('{"id": "a", "text": ""}\n')
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64, distilled=distilled)
    source, out = write(tmp_path / "data.jsonl", items[:2]), tmp_path / "windows.jsonl"
    assert write_windows(looks_at_the_brightest(), source, out, transform=transform)["failures"] == 1
    assert [record["window"] for record in records(out)] == [[0, 0], None]
    assert "radbundles distill" in (tmp_path / "windows.jsonl.failures.jsonl").read_text()


def test_the_datalist_is_not_overwritten(tmp_path: Path, items: Items, looks_at_the_brightest: Make) -> None:
    source = write(tmp_path / "data.jsonl", items)
    with pytest.raises(ValueError, match="would overwrite"):
        write_windows(looks_at_the_brightest(), source, source, transform=dict)
    assert len(records(source)) == len(items)


def test_a_broken_job_leaves_no_file_and_the_network_as_it_was(
    tmp_path: Path, tokenizer_file: Path, items: Items, looks_at_the_brightest: Make
) -> None:
    source, out = write(tmp_path / "data.jsonl", items), tmp_path / "windows.jsonl"
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    network = looks_at_the_brightest().train()

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_windows(network, source, out, transform=transform, progress=stop)
    assert network.training and sorted(path.suffix for path in tmp_path.glob("*windows*")) == []


def test_one_batch_is_loaded_while_another_is_worked_on_and_no_more(looks_at_the_brightest: Make) -> None:
    asked, lock = [0], threading.Lock()

    def transform(item: Mapping[str, Any]) -> Mapping[str, Any]:
        with lock:
            asked[0] += 1
        ids = torch.tensor([2, 5])
        sample = {"id": "x", "image": torch.zeros(3, 448, 448), "labels": ids, "attention_mask": torch.ones(2).long()}
        return {**sample, "entity": torch.tensor([False, True])}

    def rows() -> Iterator[tuple[int, dict[str, Any], None]]:
        for number in range(1000):
            yield number, {"id": str(number), "image": "x.png"}, None

    placing = place_windows(looks_at_the_brightest(), rows(), transform=transform, base_dir="", batch_size=3)
    assert [next(placing)[0] for _ in range(4)] == [0, 1, 2, 3]
    assert 3 < asked[0] <= 9
    placing.close()
    assert asked[0] <= 9


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_training_joins_the_windows(tmp_path: Path, items: Items, suffix: str) -> None:
    source = tmp_path / f"data{suffix}"
    if suffix == ".jsonl":
        write(source, items)
    else:
        source.write_text(json.dumps({"training": items}))
    windows = tmp_path / "windows.jsonl"
    wanted = {"a": [0, 2], "b": None, "c": [2, 2], "d": [1, 1], "gone": None, "mute": [0, 0]}
    # The order of the file does not matter.
    lines = [json.dumps({"id": name, "window": window}) + "\n" for name, window in reversed(wanted.items())]
    windows.write_text("".join(lines))
    joined = load_datalist(source, "training", windows=windows)
    assert {item["id"]: item.get("window") for item in joined} == wanted
    assert {item["id"]: item.get("window") for item in load_datalist(source, "training")}["c"] == [1, 1]

    windows.write_text("".join(lines[1:]))
    with pytest.raises(
        ValueError, match=r"no context window for 1 of 6 items \(first ids: 'mute'\); run radbundles win"
    ):
        load_datalist(source, "training", windows=windows)
    windows.write_text("".join(lines).replace("[0, 2]", "[0, 3]"))
    with pytest.raises(ValueError, match=r"window of id 'a' must be \[row, column\] .* not \[0, 3\]"):
        list(load_datalist(source, "training", windows=windows))
