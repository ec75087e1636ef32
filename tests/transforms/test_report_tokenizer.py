# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizer files and text -> ids."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from radbundles.transforms import (
    SPECIAL_TOKENS,
    TokenizeReport,
    TokenizeReportd,
    build_report_tokenizer,
    load_report_tokenizer,
)
from radbundles.transforms.tokenize_report import _Chunks


def decode(tokenizer: Tokenizer, ids: torch.Tensor) -> list[str | None]:
    return [tokenizer.id_to_token(number) for number in ids.tolist()]


def test_ids_begin_with_cls_and_end_with_padding(tokenizer: Tokenizer, tokenizer_file: Path) -> None:
    ids = TokenizeReport(tokenizer_file=tokenizer_file, max_length=10)("Small EFFUSION, 3.5 cm.")
    assert ids.dtype == torch.int64
    assert decode(tokenizer, ids) == ["[CLS]", "small", "effusion", ",", "3", ".", "5", "cm", ".", "[PAD]"]


def test_long_text_is_cut_to_the_length(tokenizer_file: Path) -> None:
    ids = TokenizeReport(tokenizer_file=tokenizer_file, max_length=6)("clear " * 50)
    assert ids.shape == (6,)
    assert ids.count_nonzero() == 6


def test_empty_text_is_cls_alone(tokenizer_file: Path) -> None:
    assert TokenizeReport(tokenizer_file=tokenizer_file, max_length=4)("").tolist() == [2, 0, 0, 0]


def test_special_tokens_in_a_report_are_ordinary_text(tokenizer_file: Path) -> None:
    ids = TokenizeReport(tokenizer_file=tokenizer_file)("clear [MASK] clear [PAD] clear")
    assert not {0, 2, 3} & set(ids[1 : ids.count_nonzero()].tolist())


@pytest.mark.parametrize("text", ["Café — naïve ﬁbrosis ² 12.5cm", "a\t_b_\n\nc..d (e).f", "µm ½ ΑΒ 中文"])
def test_reading_by_chunks_equals_reading_the_whole_text(tokenizer: Tokenizer, tokenizer_file: Path, text: str) -> None:
    transform = TokenizeReport(tokenizer_file=tokenizer_file)
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    for _ in range(2):  # unknown and known chunks
        assert transform(text)[1 : len(whole) + 1].tolist() == whole


def test_memory_of_chunks_is_bounded(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Chunks, "limit", 5)
    chunks = _Chunks(tokenizer)
    for number in range(100):
        assert chunks[f"{number}"] == tokenizer.encode(str(number)).ids
        assert len(chunks) <= 5


def test_transform_travels_to_worker_processes(tokenizer_file: Path) -> None:
    transform = TokenizeReport(tokenizer_file=tokenizer_file)
    expected = transform("no effusion.")
    assert torch.equal(pickle.loads(pickle.dumps(transform))("no effusion."), expected)


def test_dictionary_twin_adds_labels(tokenizer_file: Path) -> None:
    item: dict[Any, Any] = {"text": "no effusion."}
    sample = TokenizeReportd(tokenizer_file=tokenizer_file, max_length=8)(item)
    assert torch.equal(sample["labels"], TokenizeReport(tokenizer_file=tokenizer_file, max_length=8)("no effusion."))
    assert item == {"text": "no effusion."}


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="radbundles tokenizer train"):
        load_report_tokenizer(tmp_path / "tokenizer.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="not a file of the tokenizers library"):
        load_report_tokenizer(path)


def test_other_text_rules_are_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    fields = json.loads(tokenizer_file.read_text())
    fields["normalizer"] = None
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="normalizer: None"):
        load_report_tokenizer(path)


def test_special_tokens_must_have_their_ids(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[UNK\] must have id 1"):
        build_report_tokenizer({token: number for number, token in enumerate(reversed(SPECIAL_TOKENS))} | {"[PAD]": 0})


def test_length_without_room_for_a_word_is_refused(tokenizer_file: Path) -> None:
    with pytest.raises(ValueError, match="not 1"):
        TokenizeReport(tokenizer_file=tokenizer_file, max_length=1)
