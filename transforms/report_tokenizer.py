# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The kind of tokenizer that ECAMP reads reports with: WordPiece on lower-case words, five special tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "[SEP]")
"""In the order of their ids, 0 to 4; the official vocabulary has them there, and its [SEP] is never used."""
PAD, UNK, CLS, MASK = range(4)
CONTINUATION = "##"
MAX_LENGTH = 256
"""Pieces of a report with its [CLS]; the positions that ECAMP's text encoder has."""


def build_report_tokenizer(vocabulary: Mapping[str, int]) -> Tokenizer:
    """Return a tokenizer of section 1.3 of the ECAMP specification with the given vocabulary.

    Lower case, NFKD, accents stripped; words, runs of punctuation and whole numbers apart; WordPiece inside a word.

    Args:
        vocabulary: piece -> id, the special tokens included.

    Raises:
        ValueError: if a special token does not have its id.
    """
    tokenizer = Tokenizer(WordPiece(dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.NFKD(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=False)]
    )
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
        ValueError: if it is not a WordPiece tokenizer file, or a special token does not have its id.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer at {path}: train one with `radbundles tokenizer train`")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        model = fields["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of the tokenizers library") from error
    if model.get("type") != "WordPiece" or model.get("continuing_subword_prefix") != CONTINUATION:
        raise ValueError(f"{path}: the model must be WordPiece with {CONTINUATION!r}, not {model.get('type')!r}")
    fields |= {"added_tokens": [], "truncation": None, "padding": None, "post_processor": None}
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    _check_special_tokens(tokenizer, str(path))
    return tokenizer


def _check_special_tokens(tokenizer: Tokenizer, source: str) -> None:
    for number, token in enumerate(SPECIAL_TOKENS):
        if tokenizer.token_to_id(token) != number:
            raise ValueError(f"{source}: {token} must have id {number}, not {tokenizer.token_to_id(token)}")
