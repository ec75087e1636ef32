# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pickle
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from radbundles.components.data import train_tokenizer
from radbundles.transforms import TokenizeSentenced, load_text_tokenizer, tokenize_sentences

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *string.digits, *".,?!'-[",
    "left", "small", "pleural", "ef", "##fusion", "no", "is", "pneumothorax",
]  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n")
    return path


@pytest.fixture(scope="module")
def tokenizer(vocabulary: Path) -> Tokenizer:
    return load_text_tokenizer(vocabulary)


def tokens(tokenizer: Tokenizer, ids: torch.Tensor) -> list[str]:
    return [tokenizer.id_to_token(number) or "" for number in ids.tolist()]


def test_sentence_between_its_special_tokens_and_padding(tokenizer: Tokenizer) -> None:
    sample = TokenizeSentenced(tokenizer, max_length=8)({"id": "a", "sentence": "No pleural effusion"})
    assert (
        tokens(tokenizer, sample["input_ids"]) == ["[CLS]", "no", "pleural", "ef", "##fusion", "[SEP]"] + ["[PAD]"] * 2
    )
    assert sample["attention_mask"].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert sample["word_mask"].tolist() == [False, True, True, True, True, False, False, False]
    dtypes = [sample[key].dtype for key in ("input_ids", "attention_mask", "word_mask")]
    assert dtypes == [torch.int64, torch.int64, torch.bool]


def test_default_length_is_77_and_the_tokenizer_can_be_a_file(vocabulary: Path) -> None:
    sample = TokenizeSentenced(vocabulary)({"sentence": "no effusion"})
    assert all(sample[key].shape == (77,) for key in ("input_ids", "attention_mask", "word_mask"))


def test_long_sentence_is_cut_and_still_ends(tokenizer: Tokenizer) -> None:
    sample = TokenizeSentenced(tokenizer, max_length=6)({"sentence": "no small left pleural effusion is left"})
    assert tokens(tokenizer, sample["input_ids"]) == ["[CLS]", "no", "small", "left", "pleural", "[SEP]"]
    assert sample["attention_mask"].all() and sample["word_mask"].tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("text", "pieces", "count"),
    [
        ("no small left pleural effusion , .", 8, 5),
        ("no small left pleural effusion is", 7, 6),
        ("small left pleural effusion is no .", 8, 6),
        ("no pneumothorax", 2, 2),
        ("no xyz pneumothorax", 3, 2),  # an unknown word does not count, and its place is taken
        ("effusion", 2, 1),
        ("left - small", 3, 3),
        ("[ left", 2, 1),
        ("x ' s", 3, 1),
        ("xyz", 1, 1),  # nothing counts: one token is kept
    ],
)
def test_official_words_are_those_of_the_decoded_sentence(
    tokenizer: Tokenizer, text: str, pieces: int, count: int
) -> None:
    plain, official = (
        tokenize_sentences(tokenizer, [text], words=words)["word_mask"][0] for words in ("pieces", "official")
    )
    assert int(plain.sum()) == pieces
    assert official[1 : 1 + count].all() and int(official.sum()) == count


def test_official_words_as_transformers_decodes(shared_data: Path) -> None:
    from transformers import BertTokenizer

    path = shared_data / "vocab" / "bert_uncased_wordpiece_vocab.txt"
    theirs = BertTokenizer(vocab=str(path))
    ours = load_text_tokenizer(path)
    texts = [
        "no pneumothorax , pleural effusion or edema .",
        "x - ray of the patient ' s chest ; there aren ' t any changes !",
        "12 x 9 mm nodule ( lul ) ? [ sic ] , i ' m we ' ve they ' re",
        "cavitary fibronodular infiltrate rul . typical appearance of active tb .",
        "osteopenia / kyphosis: s - shaped scoliosis \u2603 2 . 5 cm",
        "word " * 100,
    ]
    batch = tokenize_sentences(ours, texts, words="official")
    for text, mask in zip(texts, batch["word_mask"], strict=True):
        ids = theirs(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
        decoded = theirs.decode(ids, clean_up_tokenization_spaces=True)
        assert int(mask.sum()) == sum(not word.startswith("[") for word in str(decoded).split())


def test_batch_is_as_long_as_its_longest_text(tokenizer: Tokenizer) -> None:
    texts = ["no effusion", "no small left effusion"]
    batch = tokenize_sentences(tokenizer, texts)
    assert batch["input_ids"].shape == (2, 7)
    for row, text in enumerate(texts):
        single: dict[Any, Any] = TokenizeSentenced(tokenizer, max_length=7)({"sentence": text})
        assert all(torch.equal(batch[key][row], single[key]) for key in batch)
    assert tokenize_sentences(tokenizer, texts, max_length=4)["input_ids"].shape == (2, 4)


def test_own_tokenizer(tmp_path: Path) -> None:
    train_tokenizer(["No pleural effusion."] * 2, vocab_size=400, out=tmp_path / "tokenizer.json")
    tokenizer = load_text_tokenizer(tmp_path)
    batch = tokenize_sentences(tokenizer, ["no pleural effusion ."])
    assert tokens(tokenizer, batch["input_ids"][0])[:3] == ["[CLS]", "no", "pleural"]
    assert tokens(tokenizer, batch["input_ids"][0])[-2:] == [".", "[SEP]"]


def test_transform_goes_to_worker_processes(tokenizer: Tokenizer) -> None:
    transform = TokenizeSentenced(tokenizer, words="official")
    again = pickle.loads(pickle.dumps(transform))
    item: dict[Any, Any] = {"sentence": "no effusion ."}
    assert torch.equal(again(item)["word_mask"], transform(item)["word_mask"])


def test_text_without_a_token_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="item 'a': the text has no token"):
        TokenizeSentenced(tokenizer)({"id": "a", "sentence": " "})
    with pytest.raises(ValueError, match="text 1 has no token"):
        tokenize_sentences(tokenizer, ["no", ""])
    refused: tuple[Any, ...] = ([], "no")
    for texts in refused:
        with pytest.raises(ValueError, match="list of at least one text"):
            tokenize_sentences(tokenizer, texts)


def test_arguments_out_of_range_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="not 2"):
        TokenizeSentenced(tokenizer, max_length=2)
    with pytest.raises(ValueError, match="'tokens'"):
        TokenizeSentenced(tokenizer, words="tokens")
    with pytest.raises(ValueError, match=r"lacks \[CLS\]"):
        TokenizeSentenced(Tokenizer.from_str(tokenizer.to_str().replace("[CLS]", "[BOS]")))
