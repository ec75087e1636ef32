# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Find words and phrases in the token ids of a report."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer

from radbundles.transforms.report_tokenizer import CONTINUATION, UNK


def piece_table(tokenizer: Tokenizer, holds: str, *, prefix: bool = False) -> np.ndarray:
    """Return which pieces of the vocabulary hold a text (or begin with it): bool ``[V]``, indexed by id."""
    table = np.zeros(tokenizer.get_vocab_size(with_added_tokens=True), dtype=bool)
    for piece, number in tokenizer.get_vocab().items():
        table[number] = piece.startswith(holds) if prefix else holds in piece
    return table


class PhraseFinder:
    """Look up phrases, each a run of ids, from left to right, longest first, without overlap.

    A table over the vocabulary leaves only the places where some phrase may begin; those few are compared.

    Args:
        tokenizer: gives the ids of the phrases.
        phrases: words or phrases as they stand in a report.
        whole_words: whether a phrase must end where a word ends ("there is no" is not found in "there is nodular").

    Raises:
        ValueError: if the tokenizer cannot spell a phrase.
    """

    def __init__(self, tokenizer: Tokenizer, phrases: Iterable[str], *, whole_words: bool = True) -> None:
        runs = set()
        for phrase in phrases:
            run = tuple(tokenizer.encode(phrase, add_special_tokens=False).ids)
            if not run or UNK in run:
                raise ValueError(f"the tokenizer cannot spell {phrase!r}: train it on text of this language")
            runs.add(run)
        self._by_first: dict[int, list[tuple[int, ...]]] = {}
        for run in sorted(runs, key=lambda run: (-len(run), run)):
            self._by_first.setdefault(run[0], []).append(run)
        self._begins = np.zeros(tokenizer.get_vocab_size(with_added_tokens=True), dtype=bool)
        self._begins[list(self._by_first)] = True
        self._continues = piece_table(tokenizer, CONTINUATION, prefix=True) & whole_words

    def __call__(self, ids: np.ndarray) -> list[tuple[int, int]]:
        """Return (start, stop) of each phrase in ``ids``, int ``[L]``."""
        spans: list[tuple[int, int]] = []
        candidates = self._begins.take(ids).nonzero()[0].tolist()
        if not candidates:
            return spans
        pieces = tuple(ids.tolist())
        free = 0
        for start in candidates:
            if start < free:
                continue
            for run in self._by_first[pieces[start]]:
                stop = start + len(run)
                if pieces[start:stop] == run and not (stop < len(pieces) and self._continues[pieces[stop]]):
                    spans.append((start, stop))
                    free = stop
                    break
        return spans
