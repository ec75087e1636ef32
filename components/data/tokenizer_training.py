# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Train a WordPiece vocabulary on reports."""

from __future__ import annotations

import os
import string
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.trainers import WordPieceTrainer

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.data.distilled import DistilledText
from radbundles.components.data.section import require_valid
from radbundles.transforms import REPORT_SECTIONS, SPECIAL_TOKENS, build_report_tokenizer, compose_report
from radbundles.transforms.find_phrases import piece_table
from radbundles.transforms.report_tokenizer import CONTINUATION, UNK

_ALPHABET = string.ascii_lowercase + string.digits + string.punctuation


class ReportCorpus(Iterable[str]):
    """The reports of one section of a datalist, and their distilled text, streamed as often as wanted.

    Args:
        datalist: JSON or JSON Lines datalist.
        section: "training", "validation" or "test"; items without a text in ``report_sections`` are passed over.
        distilled: file of ``radbundles distill`` with a text for each item of the section.
        report_sections: names and order of the sections of a report, see :func:`~radbundles.transforms.compose_report`.
    """

    def __init__(
        self,
        datalist: str | os.PathLike[str],
        *,
        section: str = "training",
        distilled: str | os.PathLike[str] | None = None,
        report_sections: Sequence[str] | None = REPORT_SECTIONS,
    ) -> None:
        self.datalist = Path(datalist)
        self.section = section
        self.distilled = None if distilled is None else DistilledText(distilled)
        self.report_sections = report_sections

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in the order of the datalist."""
        for row, split, item in iter_datalist(self.datalist):
            if split != self.section:
                continue
            require_valid(self.datalist, row, item)
            if text := compose_report(item.get("report", {}), self.report_sections):
                yield text
                if self.distilled is not None:
                    yield self.distilled[item["id"]]


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 30000, out: str | os.PathLike[str]) -> Tokenizer:
    """Train a tokenizer of the kind that ECAMP uses and write its ``tokenizer.json``.

    Every ASCII character and every character of ``texts`` becomes a piece both at the beginning and inside of a word,
    so that no text in these characters has an unknown word (entities and negation templates neither). The same texts
    give the same file: the library numbers the pieces inside of words by the order of a hash table, so they are given
    to it beforehand.

    Source: ECAMP's released tokenizer; how it was trained is not known.

    Args:
        texts: reports; read twice and never held in memory, so pass a list or a :class:`ReportCorpus`, no generator.
        vocab_size: upper bound of the number of pieces.
        out: file to write.

    Returns:
        The tokenizer.

    Raises:
        TypeError: if ``texts`` can be read only once.
        ValueError: if there is no text, or ``vocab_size`` has no room for the characters.
    """
    if isinstance(texts, Iterator):
        raise TypeError("texts are read twice: pass a list or a ReportCorpus, not a generator")
    tokenizer = build_report_tokenizer({token: number for number, token in enumerate(SPECIAL_TOKENS)})
    characters = set(_ALPHABET)
    empty = True
    for text in texts:
        characters.update(tokenizer.normalizer.normalize_str(text))
        empty = empty and not text.strip()
    if empty:
        raise ValueError("there is no text to train a tokenizer on")

    alphabet = sorted(character for character in characters if not character.isspace())
    first = [*SPECIAL_TOKENS, *(CONTINUATION + character for character in alphabet)]
    if vocab_size < len(first) + len(alphabet):
        raise ValueError(f"vocab_size must be at least {len(first) + len(alphabet)} for these texts, not {vocab_size}")
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=alphabet,
        special_tokens=first,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Built anew: only five of the tokens that the trainer took for special ones are.
    tokenizer = build_report_tokenizer(tokenizer.get_vocab(with_added_tokens=True))
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        tokenizer.save(str(unfinished))
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    return tokenizer


def tokenizer_figures(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, Any]:
    """Return how well a tokenizer fits texts.

    Args:
        tokenizer: a WordPiece tokenizer.
        texts: reports that it was not trained on.

    Returns:
        ``vocabulary`` (pieces), ``reports``, ``words``, ``pieces_per_word`` and ``unknown_rate`` (of the words; both
        0.0 if there is no text).
    """
    continues = piece_table(tokenizer, CONTINUATION, prefix=True)
    reports = words = pieces = unknown = 0
    for text in texts:
        ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)
        reports += 1
        pieces += len(ids)
        words += int(np.count_nonzero(~continues[ids]))
        unknown += int(np.count_nonzero(ids == UNK))
    return {
        "vocabulary": tokenizer.get_vocab_size(),
        "reports": reports,
        "words": words,
        "pieces_per_word": pieces / max(words, 1),
        "unknown_rate": unknown / max(words, 1),
    }
