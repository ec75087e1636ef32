# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A tokenizer small enough to work examples by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from radbundles.transforms import ECAMP_ENTITIES, SPECIAL_TOKENS, build_report_tokenizer, load_report_tokenizer

# In the official vocabulary too, three of the 44 words are no piece of their own: these two and upper-case COPD.
SPLIT_WORDS = {"aerate": ("aer", "##ate"), "hyperinflate": ("hyperinfl", "##ate")}
WORDS = (
    "there is no evidence of may be a the heart size normal lungs are clear small large left right pleural mild "
    "moderate bibasilar and or seen acute process copd effusions pneumon space air disease . , ). .. ( ) - 3 5 cm"
).split()
CONTINUATIONS = ("##s", "##ar", "##ic", "##ly", "##.")


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the tokenizer."""
    entities = [word for word in ECAMP_ENTITIES if word not in SPLIT_WORDS and word != "COPD"]
    split = [piece for pieces in SPLIT_WORDS.values() for piece in pieces]
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *WORDS, *entities, *split, *CONTINUATIONS])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    build_report_tokenizer({piece: number for number, piece in enumerate(pieces)}).save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    """The tokenizer, as the transforms load it."""
    return load_report_tokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def pieces_of(tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    """Function from a text to its pieces with [CLS] in front."""
    return lambda text: ["[CLS]", *tokenizer.encode(text, add_special_tokens=False).tokens]
