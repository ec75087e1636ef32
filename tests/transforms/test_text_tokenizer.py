# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import string
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError
from tokenizers import Tokenizer

from radbundles.components.data import train_tokenizer
from radbundles.transforms import load_text_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *string.digits, ".", ",",
    "left", "right", "pleural", "ef", "##fusion", "no", "Left",
]  # fmt: skip


def vocabulary(folder: Path, pieces: list[str] = PIECES) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    train_tokenizer(["No left pleural effusion."] * 2, vocab_size=400, out=tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def test_vocabulary_is_read_as_that_of_an_uncased_bert(tmp_path: Path) -> None:
    encoding = load_text_tokenizer(vocabulary(tmp_path)).encode("LEFT pl\u00e9ural effusion, \u00df")
    assert encoding.tokens == ["[CLS]", "left", "pleural", "ef", "##fusion", ",", "[UNK]", "[SEP]"]
    assert encoding.ids[0] == PIECES.index("[CLS]") and encoding.ids[1] == PIECES.index("left")


def test_vocabulary_reads_like_transformers(shared_data: Path) -> None:
    from transformers import BertTokenizer

    path = shared_data / "vocab" / "bert_uncased_wordpiece_vocab.txt"
    theirs = BertTokenizer(vocab=str(path))
    ours = load_text_tokenizer(path)
    assert ours.get_vocab_size() == 30522 == len(theirs)
    for text in (
        "No pneumothorax, 2.5 cm.",
        "Na\u00efve x-ray (PA): left-sided; \u4e2d\u6587 50%",
        "it's the patient's",
    ):
        assert ours.encode(text).ids == theirs(text)["input_ids"]


def test_folder_says_whether_case_counts(tmp_path: Path) -> None:
    vocabulary(tmp_path)
    assert load_text_tokenizer(tmp_path).encode("Left").tokens == ["[CLS]", "left", "[SEP]"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert load_text_tokenizer(str(tmp_path)).encode("Left").tokens == ["[CLS]", "Left", "[SEP]"]


def test_own_tokenizer_gets_its_special_tokens_around_a_text(trained: Path) -> None:
    stored = Tokenizer.from_file(str(trained))
    assert "[CLS]" not in stored.encode("effusion").tokens
    tokens = load_text_tokenizer(trained).encode("Pleural effusion").tokens
    assert tokens == ["[CLS]", "pleural", "effusion", "[SEP]"]


def test_tokenizer_file_of_a_folder_comes_first_and_saved_tokenizers_come_back(trained: Path) -> None:
    vocabulary(trained.parent)
    tokenizer = load_text_tokenizer(trained.parent)
    assert tokenizer.get_vocab_size() == load_text_tokenizer(trained).get_vocab_size() != len(PIECES)
    again = trained.with_name("again.json")
    tokenizer.save(str(again))
    assert load_text_tokenizer(again).encode("effusion").tokens == ["[CLS]", "effusion", "[SEP]"]


def test_stored_padding_and_truncation_are_taken_out(trained: Path) -> None:
    stored = Tokenizer.from_file(str(trained))
    stored.enable_padding(length=32)
    stored.enable_truncation(3)
    stored.save(str(trained))
    assert len(load_text_tokenizer(trained).encode("no pleural effusion").ids) == 5


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (PIECES[:5], "only 0 pieces"),
        ([piece for piece in PIECES if piece not in ("[CLS]", "[PAD]")], r"lacks \[CLS\], \[PAD\]"),
        ([piece for piece in PIECES if piece != "[UNK]"], r"no \[UNK\]"),
    ],
)
def test_broken_vocabulary_is_refused(tmp_path: Path, pieces: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_text_tokenizer(vocabulary(tmp_path, pieces))
    assert "vocab.txt" in str(error.value)


def test_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="not a file of the tokenizers library"):
        load_text_tokenizer(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for source in (tmp_path / "none", str(tmp_path / "none"), "none/tokenizer.json", "vocab.txt", "./none"):
        with pytest.raises(FileNotFoundError, match="no tokenizer at"):
            load_text_tokenizer(source)
    with pytest.raises(FileNotFoundError, match=r"none of tokenizer\.json, vocab\.txt"):
        load_text_tokenizer(tmp_path)


@pytest.mark.parametrize("revision", [None, "main", "v1.1", COMMIT[:7]])
def test_repository_needs_a_commit(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("asked the Hub"))
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        load_text_tokenizer("owner/name", revision)


def test_what_is_on_this_machine_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no revision"):
        load_text_tokenizer(vocabulary(tmp_path), COMMIT)


def test_repository_is_read_at_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    asked = []

    def download(repository: str, name: str, *, revision: str) -> str:
        asked.append((repository, name, revision))
        if not (tmp_path / name).is_file():
            raise EntryNotFoundError(name)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load_text_tokenizer("owner/name", COMMIT).encode("Left").tokens == ["[CLS]", "Left", "[SEP]"]
    assert asked == [("owner/name", name, COMMIT) for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json")]
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match="owner/name at 0123"):
        load_text_tokenizer("owner/name", COMMIT)
