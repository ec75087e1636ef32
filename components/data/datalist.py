# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing datalists: streamed, at random, atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radbundles.components.data.context_windows import ContextWindows
from radbundles.components.data.distilled import DistilledText
from radbundles.components.data.labeled_sentences import LabeledSentences
from radbundles.components.data.lines import existing, hash64, is_jsonl, iter_lines, parse_json
from radbundles.components.data.schema import SPLITS
from radbundles.components.data.section import (
    EmptySectionError,
    Item,
    JsonLinesSection,
    join_paths,
    parse_row,
    require_valid,
)


def iter_datalist(path: str | os.PathLike[str]) -> Iterator[tuple[int, str, Item]]:
    """Stream the items of a datalist.

    Args:
        path: JSON file, loaded whole, or JSON Lines file (``.jsonl``), of which one line is held at a time.

    Yields:
        Row number (line of the JSON Lines file, or running number of the item in the JSON file, from 1), split, and the
        item with its paths as they are written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file or a row cannot be read; names the row. Other faults are for ``radbundles data check``.
    """
    path = existing(path)
    if is_jsonl(path):
        for row, _, raw in iter_lines(path):
            yield row, *parse_row(path, row, raw)
        return
    document = read_document(path)
    row = 0
    for split in SPLITS:
        for item in document.get(split, []):
            row += 1
            if not isinstance(item, dict):
                raise ValueError(f"{path}, row {row}: an item must be a JSON object, not {type(item).__name__}")
            yield row, split, item


def load_datalist(
    path: str | os.PathLike[str],
    section: str,
    base_dir: str | os.PathLike[str] | None = None,
    distilled: str | os.PathLike[str] | None = None,
    sentences: str | os.PathLike[str] | None = None,
    windows: str | os.PathLike[str] | None = None,
) -> Sequence[Item]:
    """Open one section of a datalist for a dataset such as ``monai.data.Dataset``.

    Args:
        path: JSON or JSON Lines datalist. A JSON file becomes a list; of a JSON Lines file only the offsets of the
            lines are held (12 bytes an item) and an item is read, and checked against the contract, when asked for.
        section: ``training``, ``validation`` or ``test``.
        base_dir: folder that image and mask paths are relative to, by default the datalist's. Absolute paths stay.
        distilled: JSON Lines file of ``radbundles distill``; its text is joined by id as ``item["distilled"]``.
        sentences: JSON Lines file of ``radbundles sentences``; its sentences are joined by id as
            ``item["sentences"]``, and its labels take the place of ``item["labels"]``. Items without a sentence are
            left out and their number is logged.
        windows: JSON Lines file of ``radbundles windows``; its context windows are joined by id as ``item["window"]``,
            in the place of those that the datalist has.

    Returns:
        Sequence of items with joined paths. It can be pickled and is safe in threads and worker processes.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: unknown section, a section without items, an item against the contract, items without distilled
            text, a record of sentences or a context window (with their count and first ids), or no item with a
            sentence.
    """
    path = existing(path)
    if section not in SPLITS:
        raise ValueError(f"section must be one of {', '.join(SPLITS)}, not {section!r}")
    base = str(path.parent if base_dir is None else base_dir)
    texts = None if distilled is None else DistilledText(distilled)
    records = None if sentences is None else LabeledSentences(sentences)
    places = None if windows is None else ContextWindows(windows)
    if is_jsonl(path):
        joins = texts is not None or records is not None or places is not None
        lazy = JsonLinesSection(path, section, base_dir=base, index_ids=joins)
        if texts is not None:
            texts.require(lazy.id_hashes, lambda place: lazy[place]["id"])
        if places is not None:
            places.require(lazy.id_hashes, lambda place: lazy[place]["id"])
        if records is not None:
            lazy.keep(records.said(lazy.id_hashes, lambda place: lazy[place]["id"]))
        lazy.distilled, lazy.sentences, lazy.windows = texts, records, places
        return lazy

    document = read_document(path)
    items = document.get(section, [])
    if not items:
        raise EmptySectionError(path, section, {split: len(document.get(split, [])) for split in SPLITS})
    first_row = 1 + sum(len(document.get(split, [])) for split in SPLITS[: SPLITS.index(section)])
    for row, item in enumerate(items, start=first_row):
        require_valid(path, row, item)
    joined = [join_paths(item, base) for item in items]
    hashes = np.fromiter((hash64(item["id"]) for item in joined), np.uint64, len(joined))
    if texts is not None:
        texts.require(hashes, lambda place: joined[place]["id"])
        for item in joined:
            item["distilled"] = texts[item["id"]]
    if places is not None:
        places.require(hashes, lambda place: joined[place]["id"])
        for item in joined:
            places.join(item)
    if records is not None:
        joined = [joined[place] for place in records.said(hashes, lambda place: joined[place]["id"])]
        for item in joined:
            records.join(item)
    return joined


def write_datalist(
    path: str | os.PathLike[str],
    rows: Iterable[tuple[str, Item]],
    *,
    name: str | None = None,
    label_names: Collection[str] | None = None,
) -> None:
    """Write a datalist; the file appears whole or not at all.

    Args:
        path: ``.jsonl`` for JSON Lines, which is streamed and has no place for ``name`` and ``label_names``; ``.json``
            for one document with sections.
        rows: (split, item) pairs.
        name: name of the datalist (JSON only).
        label_names: names that labels may have (JSON only); looked at after the rows.

    Raises:
        ValueError: a row against the contract, a wrong suffix, or a header for JSON Lines.
    """
    path = Path(path)
    lines = is_jsonl(path)
    if not lines and path.suffix.lower() != ".json":
        raise ValueError(f"{path}: the name of a datalist ends with .json or .jsonl")
    if lines and (name is not None or label_names is not None):
        raise ValueError(f"{path}: JSON Lines has no header for name and label_names; write .json or leave them out")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            if lines:
                for split, item in _valid_rows(path, rows):
                    # The id leads the line, where readers find it without parsing.
                    file.write(dump_line({"id": item["id"], "split": split, **item}) + "\n")
            else:
                sections: dict[str, list[str]] = {split: [] for split in SPLITS}
                for split, item in _valid_rows(path, rows):
                    sections[split].append("  " + dump_line(item))
                header = {"name": name, "label_names": None if label_names is None else list(label_names)}
                parts = [f"{json.dumps(key)}: {dump_line(value)}" for key, value in header.items() if value is not None]
                parts += [f"{json.dumps(split)}: [\n" + ",\n".join(items) + "\n]" for split, items in sections.items()]
                file.write("{\n" + ",\n".join(parts) + "\n}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def dump_line(value: object) -> str:
    """JSON on one line, in readable UTF-8 wherever the text can be encoded."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    return text


def read_document(path: Path) -> dict[str, Any]:
    """Load a JSON datalist and make sure that it has the form of one.

    Raises:
        ValueError: not JSON, not an object, or a section is not a list.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise ValueError(f"{path} is empty; a datalist has at least one of the sections {', '.join(SPLITS)}")
    try:
        document = parse_json(raw)
    except ValueError as error:
        hint = ""
        if "Extra data" in str(error):
            hint = "; if it has one JSON object a line, name it .jsonl"
        raise ValueError(f"{path} is not JSON: {error}{hint}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path}: the top level must be an object with sections, not {type(document).__name__}")
    if "id" in document and "image" in document:
        raise ValueError(f"{path} holds a single item; if it has one item a line, name it .jsonl")
    for split in SPLITS:
        if not isinstance(document.get(split, []), list):
            raise ValueError(f"{path}: the section {split!r} must be a list of items")
    return document


def _valid_rows(path: Path, rows: Iterable[tuple[str, Item]]) -> Iterator[tuple[str, Item]]:
    for row, (split, item) in enumerate(rows, start=1):
        if split not in SPLITS:
            raise ValueError(f"{path}, row {row}: 'split' must be one of {', '.join(SPLITS)}, not {split!r}")
        require_valid(path, row, item)
        yield split, item
