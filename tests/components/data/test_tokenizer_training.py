# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers trained on reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import radbundles.cli.tokenizer_command  # noqa: F401 - adds the command
from radbundles.cli.app import app
from radbundles.components.data.tokenizer_training import ReportCorpus, tokenizer_figures, train_tokenizer
from radbundles.transforms import (
    ECAMP_ENTITIES,
    NEGATION_TEMPLATES,
    SPECIAL_TOKENS,
    MaskReport,
    TokenizeReport,
    load_report_tokenizer,
)

TEXTS = [
    "There is no evidence of pleural effusion. Heart size is normal.",
    "There is a small pleural effusion. The lungs are clear; 3.5 cm nodule.",
    "Café-au-lait, 20 µm.",
] * 3


def item(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"id": f"case-{number}", "image": f"{number}.png", "report": {"findings": text}, **more}


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Datalist with nine training reports, one of them without text to read, and one of validation."""
    path = tmp_path / "datalist.json"
    training = [item(number, text) for number, text in enumerate(TEXTS)]
    training.append({"id": "other", "image": "o.png", "report": {"indication": "Zzyzx."}})
    path.write_text(json.dumps({"training": training, "validation": [item(99, "Pleural effusion, 日.")]}))
    return path


@pytest.fixture
def distilled(tmp_path: Path) -> Path:
    """Distilled text of every training report."""
    path = tmp_path / "distilled.jsonl"
    rows = [{"id": f"case-{number}", "text": "There may be atelectasis."} for number in range(len(TEXTS))]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_special_tokens_come_first_and_frequent_words_are_whole(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, out=tmp_path / "new" / "tokenizer.json")
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("Pleural effusion.").tokens == ["pleural", "effusion", "."]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tokenizer.json"]


def test_file_is_read_by_the_transforms_with_every_entity_and_template_spelled(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    train_tokenizer(TEXTS, out=path)
    tokenizer = load_report_tokenizer(path)
    for phrase in (*ECAMP_ENTITIES, *NEGATION_TEMPLATES, "µ é [MASK] Zq7~"):
        assert "[UNK]" not in tokenizer.encode(phrase).tokens
    ids = TokenizeReport(tokenizer_file=path)("There is hyperinflate.")
    assert MaskReport(tokenizer_file=path)(ids)["entity"].any()


def test_vocabulary_keeps_to_its_size(tmp_path: Path) -> None:
    sizes = [train_tokenizer(TEXTS, vocab_size=size, out=tmp_path / "t.json").get_vocab_size() for size in (180, 190)]
    assert sizes == [180, 190]


def test_same_reports_give_the_same_file(tmp_path: Path, datalist: Path) -> None:
    # The library's own hash tables are seeded anew for every training, so a few repeats in one process tell.
    files = [tmp_path / f"{number}.json" for number in range(4)]
    for file in files:
        train_tokenizer(ReportCorpus(datalist), vocab_size=400, out=file)
    assert len({file.read_bytes() for file in files}) == 1


def test_corpus_streams_one_section_with_its_distilled_text(datalist: Path, distilled: Path) -> None:
    assert list(ReportCorpus(datalist)) == TEXTS
    both = list(ReportCorpus(datalist, distilled=distilled))
    assert both[::2] == TEXTS
    assert set(both[1::2]) == {"There may be atelectasis."}
    assert list(ReportCorpus(datalist, section="validation")) == ["Pleural effusion, 日."]
    assert "Zzyzx." in list(ReportCorpus(datalist, report_sections=None))


def test_generator_is_refused(tmp_path: Path) -> None:
    texts: Iterator[str] = iter(TEXTS)
    with pytest.raises(TypeError, match="read twice"):
        train_tokenizer(texts, out=tmp_path / "tokenizer.json")


@pytest.mark.parametrize(("texts", "size", "message"), [([], 30000, "no text"), ([" "], 30000, "no text"),
                                                        (TEXTS, 20, "at least .*, not 20")])  # fmt: skip
def test_nothing_is_written_when_training_cannot_work(
    tmp_path: Path, texts: list[str], size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train_tokenizer(texts, vocab_size=size, out=tmp_path / "tokenizer.json")
    assert not list(tmp_path.iterdir())


def test_figures_count_words_pieces_and_unknown_words(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, out=tmp_path / "tokenizer.json")
    figures = tokenizer_figures(tokenizer, ["pleural effusion 日 of", "xy"])
    assert figures == {
        "vocabulary": tokenizer.get_vocab_size(), "reports": 2, "words": 5, "pieces_per_word": 6 / 5,
        "unknown_rate": 1 / 5,
    }  # fmt: skip


def test_command_says_how_the_tokenizer_fits_without_report_text(
    tmp_path: Path, datalist: Path, distilled: Path
) -> None:
    out = tmp_path / "tokenizer.json"
    arguments = ["tokenizer", "train", str(datalist), "--out", str(out), "--distilled", str(distilled)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert load_report_tokenizer(out).encode("atelectasis").tokens == ["atelectasis"]
    assert "validation section (1 reports, 5 words)" in result.output
    assert "20.000 % unknown words" in result.output
    assert "leural" not in result.output


def test_command_measures_on_the_trained_section_when_there_is_no_other(tmp_path: Path) -> None:
    path = tmp_path / "datalist.jsonl"
    path.write_text("\n".join(json.dumps({"split": "training", **item(n, text)}) for n, text in enumerate(TEXTS)))
    result = CliRunner().invoke(app, ["tokenizer", "train", str(path), "--out", str(tmp_path / "t.json")])
    assert "training section (9 reports" in result.output


def test_command_names_what_is_wrong(tmp_path: Path, datalist: Path) -> None:
    arguments = ["tokenizer", "train", str(datalist), "--out", str(tmp_path / "t.json"), "--section", "test"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "no text to train" in result.output
