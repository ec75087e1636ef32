# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The kind of tokenizer that ECAMP reads reports with: WordPiece on lower-case words, five special tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "[SEP]")
"""In the order of their ids, 0 to 4; the official vocabulary has them there, and its [SEP] is never used."""
PAD, UNK, CLS, MASK = range(4)
CONTINUATION = "##"
MAX_LENGTH = 256
"""Pieces of a report with its [CLS]; the positions that ECAMP's text encoder has."""


def build_report_tokenizer(vocabulary: Mapping[str, int]) -> Tokenizer:
    """Return a tokenizer of the kind ECAMP uses with the given vocabulary.

    Lower case, NFKD, accents stripped; words, runs of punctuation and whole numbers apart; WordPiece inside a word.

    Args:
        vocabulary: piece -> id, the special tokens included.

    Raises:
        ValueError: if a special token does not have its id.
    """
    tokenizer = _wordpiece(dict(vocabulary))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    _check_special_tokens(tokenizer, "the vocabulary")
    return tokenizer


def load_report_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read the WordPiece vocabulary and text rules of a ``tokenizer.json``; nothing is added to a text or cut from it.

    Special tokens are left out of what is looked for in a text, so that a "[MASK]" that stands in a report is read as
    the ordinary text it is.

    Args:
        path: file of the ``tokenizers`` library, from ``radbundles tokenizer train`` or the official one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a tokenizer file of this kind, or a special token does not have its id.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer at {path}: train one with `radbundles tokenizer train`")
    try:
        stored = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception for every fault of a file
        raise ValueError(f"{path} is not a file of the tokenizers library: {error}") from error
    tokenizer = _wordpiece(stored.get_vocab(with_added_tokens=False))
    found, expected = _rules(stored), _rules(tokenizer)
    if wrong := [f"{key}: {found.get(key)!r}" for key in expected if found.get(key) != expected[key]]:
        raise ValueError(
            f"{path} has other rules than ECAMP's tokenizer ({'; '.join(wrong)}): "
            "train one on your reports with `radbundles tokenizer train`"
        )
    _check_special_tokens(tokenizer, str(path))
    return tokenizer


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.NFKD(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=False)]
    )
    return tokenizer


def _rules(tokenizer: Tokenizer) -> dict[str, Any]:
    fields = json.loads(tokenizer.to_str())
    model = {f"model {key}": value for key, value in fields["model"].items() if key != "vocab"}
    return {"normalizer": fields["normalizer"], "pre_tokenizer": fields["pre_tokenizer"], **model}


def _check_special_tokens(tokenizer: Tokenizer, source: str) -> None:
    for number, token in enumerate(SPECIAL_TOKENS):
        if tokenizer.token_to_id(token) != number:
            raise ValueError(f"{source}: {token} must have id {number}, not {tokenizer.token_to_id(token)}")
