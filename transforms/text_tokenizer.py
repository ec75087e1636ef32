# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers of BERT text encoders: from a file, a folder or a pinned revision of a repository."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NEEDED = ("[CLS]", "[SEP]", "[PAD]")
_FEWEST = 26  # pieces beside the special tokens: a vocabulary without even the letters is a broken file
_FILES = ("tokenizer.json", "vocab.txt")
_CONFIG = "tokenizer_config.json"


def load_text_tokenizer(source: str | os.PathLike[str], revision: str | None = None) -> Tokenizer:
    """Load the tokenizer of a text encoder.

    What comes back puts [CLS] and [SEP] around a text, and neither cuts nor pads it.

    Args:
        source: ``tokenizer.json`` (also one of ``radbundles tokenizer train``); a WordPiece vocabulary ``vocab.txt``,
            read as that of an uncased BERT; a folder that holds either, whose ``tokenizer_config.json`` says whether
            case counts; or the name of a repository of the Hugging Face Hub.
        revision: commit of that repository, 40 hexadecimal digits; needed for a repository and only there.

    Raises:
        FileNotFoundError: if there is no such file, or no tokenizer in the folder or repository.
        ValueError: if the file is no tokenizer, has hardly a vocabulary (quirk Q42) or lacks [CLS], [SEP] or [PAD]; or
            if ``revision`` is not a commit.
    """
    path = Path(source)
    if path.exists():
        if revision is not None:
            raise ValueError(f"{source} is on this machine and has no revision, got {revision!r}")
        file, config = _local(path)
    elif (
        isinstance(source, Path)
        or not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", str(source))
        or path.suffix
        in (
            ".json",
            ".txt",
        )
    ):
        raise FileNotFoundError(f"no tokenizer at {source}")
    elif revision is None or not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{source} is not on this machine, hence a repository of the Hugging Face Hub, and its revision must be a "
            f"commit of 40 hexadecimal digits, got {revision!r}: branches and tags move"
        )
    else:
        file, config = _from_hub(str(source), revision)
    tokenizer = _read_json(file) if file.suffix == ".json" else _read_vocabulary(file, config)
    _check(tokenizer, file)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    ids = tokenizer.encode("effusion").ids
    if ids[:1] != [cls] or ids[-1:] != [sep]:  # a report tokenizer adds nothing
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
        )
    return tokenizer


def _local(path: Path) -> tuple[Path, dict[str, Any]]:
    if path.is_file():
        return path, {}
    for name in _FILES:
        if (path / name).is_file():
            return path / name, _config(path / _CONFIG)
    raise FileNotFoundError(f"the folder {path} holds none of {', '.join(_FILES)}")


def _from_hub(repository: str, revision: str) -> tuple[Path, dict[str, Any]]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def fetch(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except EntryNotFoundError:
            return None

    for name in _FILES:
        if (file := fetch(name)) is not None:
            config = fetch(_CONFIG) if name == "vocab.txt" else None
            return file, _config(config) if config else {}
    raise FileNotFoundError(f"{repository} at {revision} has none of {', '.join(_FILES)}")


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    return config if isinstance(config, dict) else {}


def _read_json(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises a bare Exception for every fault of a file
        raise ValueError(f"{file} is not a file of the tokenizers library: {error}") from error


def _read_vocabulary(file: Path, config: dict[str, Any]) -> Tokenizer:
    pieces = file.read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    if "[UNK]" not in vocabulary:
        raise ValueError(f"{file} is no vocabulary of a BERT: it has no [UNK]")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=config.get("do_lower_case", True),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    special = [token for token in BERT_TOKENS if token in vocabulary]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _check(tokenizer: Tokenizer, file: Path) -> None:
    if lacking := [token for token in _NEEDED if tokenizer.token_to_id(token) is None]:
        raise ValueError(f"{file} lacks {', '.join(lacking)}, which a BERT text encoder needs")
    pieces = tokenizer.get_vocab_size() - len(BERT_TOKENS)
    if pieces < _FEWEST:
        raise ValueError(
            f"{file} has a vocabulary of only {max(pieces, 0)} pieces: the file is broken or not a tokenizer"
        )
