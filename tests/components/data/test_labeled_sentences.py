# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data import load_datalist
from radbundles.components.distillation import RuleDistiller, distill_datalist
from radbundles.components.sentences import label_sentences

ITEMS: list[dict[str, Any]] = [
    {"id": "a", "image": "a.png", "report": {"text": "There is a small effusion."}, "labels": {"Effusion": 1}},
    {"id": "b", "image": "b.png"},
    {"id": "c", "image": "c.png", "labels": {"Edema": 0}},
    {"id": "d", "image": "d.png", "report": {"text": 'He said "sentences": [] and no effusion.'}},
]


@pytest.fixture(params=["list.json", "list.jsonl"])
def datalist(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".json":
        path.write_text(json.dumps({"training": ITEMS, "test": [{"id": "t", "image": "t.png"}]}))
    else:
        rows = [{**entry, "split": "training"} for entry in ITEMS] + [{"id": "t", "image": "t.png", "split": "test"}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def sentences(datalist: Path) -> Path:
    path = datalist.with_name("sentences.jsonl")
    label_sentences(datalist, path)
    return path


def test_sentences_and_labels_are_joined(datalist: Path, sentences: Path) -> None:
    items = load_datalist(datalist, "training", sentences=sentences)
    assert [entry["id"] for entry in items] == ["a", "c", "d"]
    assert items[0]["sentences"][0]["text"] == "there is a small effusion ."
    assert [entry["labels"] for entry in items] == [{"effusion": 1}, {"edema": 0}, {"effusion": 0, "no finding": 1}]
    assert items[-1]["image"] == str(datalist.parent / "d.png")
    assert [entry["id"] for entry in pickle.loads(pickle.dumps(items))] == ["a", "c", "d"]


def test_items_without_a_sentence_are_left_out_and_counted(
    datalist: Path, sentences: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        items = load_datalist(datalist, "training", sentences=sentences)
    assert len(items) == 3
    assert "1 of 4 items have no sentence" in caplog.text


def test_distilled_text_can_be_joined_too(datalist: Path, sentences: Path) -> None:
    distilled = datalist.with_name("distilled.jsonl")
    distill_datalist(datalist, distilled, RuleDistiller())
    items = load_datalist(datalist, "training", distilled=distilled, sentences=sentences)
    assert [(entry["id"], entry["distilled"]) for entry in items] == [
        ("a", "There is effusion."), ("c", ""), ("d", "There is no effusion."),
    ]  # fmt: skip


def test_section_without_any_sentence_is_refused(datalist: Path, sentences: Path) -> None:
    with pytest.raises(ValueError, match="none of the 1 items has a sentence"):
        load_datalist(datalist, "test", sentences=sentences)


def test_items_without_a_record_are_counted_and_named(datalist: Path, sentences: Path) -> None:
    sentences.write_text("".join(sentences.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(ValueError, match=r"no sentences for 2 of 4 items \(first ids: 'c', 'd'\); run radbundles sent"):
        load_datalist(datalist, "training", sentences=sentences)


@pytest.mark.parametrize("change", [{"sentences": "no"}, {"labels": None}])
def test_other_file_is_refused(datalist: Path, sentences: Path, change: dict[str, Any]) -> None:
    rows = [json.loads(line) | change for line in sentences.read_text().splitlines()]
    sentences.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=f"has no '{next(iter(change))}' for id 'a'"):
        load_datalist(datalist, "training", sentences=sentences)[0]
