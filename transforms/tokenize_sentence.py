# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sentences -> token ids, attention mask and the mask of the tokens that count as words."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from tokenizers import Tokenizer

from radbundles.transforms.text_tokenizer import load_text_tokenizer

SENTENCE_LENGTH = 77
"""Tokens of a sentence in DCXFM, [CLS] and [SEP] included."""
WORDS = ("pieces", "official")
# What transformers takes for a space too many when it decodes, in its order.
_MERGED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class _Encoder:
    """Rows of ids, attention and word masks of texts that the tokenizer has cut."""

    def __init__(self, tokenizer: Tokenizer, max_length: int, words: str) -> None:
        if words not in WORDS:
            raise ValueError(f"words must be one of {', '.join(WORDS)}, not {words!r}")
        if max_length < 3:
            raise ValueError(f"max_length must leave room for [CLS], a word and [SEP], not {max_length}")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.words = words
        ids = {token: tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]")}
        if lacking := [token for token, number in ids.items() if number is None]:
            raise ValueError(f"the tokenizer lacks {', '.join(lacking)}")
        self.cls, self.sep, self.pad = (int(number) for number in ids.values() if number is not None)

    def rows(self, pieces: Sequence[list[int]], length: int) -> dict[str, NDArray[Any]]:
        ids = np.full((len(pieces), length), self.pad, dtype=np.int64)
        attention = np.zeros((len(pieces), length), dtype=np.int64)
        mask = np.zeros((len(pieces), length), dtype=np.bool_)
        for row, found in enumerate(pieces):
            kept = found[: self.max_length - 2]
            if not kept:
                raise ValueError(f"text {row} has no token" if len(pieces) > 1 else "the text has no token")
            count = len(kept)
            ids[row, : count + 2] = [self.cls, *kept, self.sep]
            attention[row, : count + 2] = 1
            mask[row, 1 : 1 + (count if self.words == "pieces" else self.official_count(kept))] = True
        return {"input_ids": ids, "attention_mask": attention, "word_mask": mask}

    def official_count(self, pieces: list[int]) -> int:
        """White-space words of the decoded sentence, cut at the longest length."""
        pieces = pieces[: self.max_length - 2]
        tokens = [self.tokenizer.id_to_token(number) or "" for number in pieces]
        # [SEP] stands behind the words so that a mark at the end merges as in the middle.
        text = " ".join(["[CLS]", *tokens, "[SEP]"]).replace(" ##", "")
        for mark in _MERGED:
            text = text.replace(mark, mark.strip())
        # A sentence of unknown words alone would have none, and a mean over nothing.
        return max(1, sum(not word.startswith("[") for word in text.split()))


def tokenize_sentences(
    tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int = SENTENCE_LENGTH, words: str = "pieces"
) -> dict[str, torch.Tensor]:
    """Tokenize texts at once, as prompts are; see :class:`TokenizeSentenced` for the arguments.

    Returns:
        ``input_ids`` and ``attention_mask``, int64, and ``word_mask``, bool, ``[N, L]`` with L the longest of the
        texts, at most ``max_length``.

    Raises:
        ValueError: if there is no text, or one has no token.
    """
    encoder = _Encoder(tokenizer, max_length, words)
    if isinstance(texts, str) or not len(texts):
        raise ValueError("texts must be a list of at least one text")
    pieces = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    length = min(max_length, 2 + max(map(len, pieces)))
    return {key: torch.from_numpy(value) for key, value in encoder.rows(pieces, length).items()}


class TokenizeSentenced(Transform):
    """Turn a sentence into ids: [CLS], its pieces, [SEP], and [PAD] up to ``max_length``; the rest is cut off.

    Source: DCXFM (official stage-1 data set), which does not cut off phrases in evaluation (quirk Q40).

    Args:
        tokenizer: a tokenizer, or what :func:`~radbundles.transforms.load_text_tokenizer` loads one from.
        max_length: ids of a sentence, [CLS] and [SEP] included.
        words: which tokens ``word_mask`` marks: ``"pieces"``, all of the sentence, or ``"official"``, as many after
            [CLS] as the decoded sentence has words that do not begin with "[". Marks merge into the word before them
            there and split words into one, so that the end of the sentence is left out (quirk Q6).
        revision: of a repository, see :func:`~radbundles.transforms.load_text_tokenizer`.
        key: the sentence, a str.
        second_key: a second sentence, see :class:`~radbundles.transforms.ChooseSentenced`; adds ``official_counts``,
            int64 ``[2]``, the official word counts of both.

    Raises:
        ValueError: if an argument is out of range, or a sentence has no token; names the item's ``id``.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | str | os.PathLike[str],
        *,
        max_length: int = SENTENCE_LENGTH,
        words: str = "pieces",
        revision: str | None = None,
        key: str = "sentence",
        second_key: str | None = None,
    ) -> None:
        if not isinstance(tokenizer, Tokenizer):
            tokenizer = load_text_tokenizer(tokenizer, revision)
        self.encoder = _Encoder(tokenizer, max_length, words)
        self.key = key
        self.second_key = second_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add ``input_ids`` and ``attention_mask``, int64, and ``word_mask``, bool, ``[max_length]``."""
        d = dict(data)
        pieces = self.encoder.tokenizer.encode(d[self.key], add_special_tokens=False).ids
        try:
            rows = self.encoder.rows([pieces], self.encoder.max_length)
        except ValueError as error:
            raise ValueError(f"item {d.get('id')!r}: {error}") from None
        d |= {key: torch.from_numpy(value[0]) for key, value in rows.items()}
        if self.second_key is not None:
            second = self.encoder.tokenizer.encode(d[self.second_key], add_special_tokens=False).ids
            counts = [self.encoder.official_count(found) for found in (pieces, second)]
            d["official_counts"] = torch.tensor(counts)
        return d
