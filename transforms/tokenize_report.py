# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Report text -> token ids of fixed length."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import ensure_tuple
from tokenizers import Tokenizer

from radbundles.transforms.report_tokenizer import CLS, MAX_LENGTH, load_report_tokenizer


class _Chunks(dict[str, list[int]]):
    """Ids of the chunks of text between white space, which no neighbor changes; reports repeat a few thousand."""

    limit = 2**16

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __missing__(self, chunk: str) -> list[int]:
        if len(self) >= self.limit:
            self.clear()
        ids: list[int] = self.tokenizer.encode(chunk, add_special_tokens=False).ids
        self[chunk] = ids
        return ids


class TokenizeReport(Transform):
    """Turn a text into ids: [CLS], the text's pieces, [PAD] up to ``max_length``; what is longer is cut off.

    Source: ECAMP official dataset class: there is no end token.
    ``components.data.collate_reports`` trims the padding of a batch.

    Args:
        tokenizer_file: ``tokenizer.json``, see :func:`~radbundles.transforms.load_report_tokenizer`.
        max_length: ids of a report, [CLS] included.
    """

    def __init__(self, *, tokenizer_file: str | os.PathLike[str], max_length: int = MAX_LENGTH) -> None:
        if max_length < 2:
            raise ValueError(f"max_length must leave room for [CLS] and a word, not {max_length}")
        self.chunks = _Chunks(load_report_tokenizer(tokenizer_file))
        self.max_length = max_length

    def __call__(self, text: str) -> torch.Tensor:
        """Return the ids, ``[max_length]`` int64."""
        pieces = [CLS]
        for chunk in text.split():
            pieces += self.chunks[chunk]
        ids = np.zeros(self.max_length, dtype=np.int64)
        ids[: len(pieces)] = pieces[: self.max_length]
        return torch.from_numpy(ids)


class TokenizeReportd(MapTransform):
    """Dictionary twin of :class:`TokenizeReport`.

    Args:
        keys: items that hold a text.
        tokenizer_file: ``tokenizer.json``, see :func:`~radbundles.transforms.load_report_tokenizer`.
        max_length: ids of a report, [CLS] included.
        output_keys: where the ids go, one for each of ``keys``; "labels" because the un-masked ids are what masked
            language modelling predicts.
        allow_missing_keys: whether an item without text is passed on as it is.
    """

    def __init__(
        self,
        keys: KeysCollection = "text",
        *,
        tokenizer_file: str | os.PathLike[str],
        max_length: int = MAX_LENGTH,
        output_keys: KeysCollection = "labels",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.tokenize = TokenizeReport(tokenizer_file=tokenizer_file, max_length=max_length)
        self.output_keys = ensure_tuple(output_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the ids of each text."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            d[output_key] = self.tokenize(d[key])
        return d
