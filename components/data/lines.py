# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Text files of one JSON object a line: streamed, or read at random through an offset index.

Nothing here holds the text of more than one line, so files of millions of lines are fine.
"""

from __future__ import annotations

import array
import hashlib
import io
import json
import os
import re
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

JSONL_SUFFIXES = (".jsonl", ".ndjson")
_BOM = b"\xef\xbb\xbf"
# An id that opens the line, as every writer here puts it, needs no parsing of the line.
_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([^"\\]+)"')


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a file that must be there."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist" if not path.exists() else f"{path} is a folder, not a file")
    return path


def is_jsonl(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as JSON Lines, by its suffix."""
    return Path(path).suffix.lower() in JSONL_SUFFIXES


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON in UTF-8 (a byte order mark is fine, NaN and Infinity are not).

    Raises:
        ValueError: with what is wrong and at which character, never with the text itself.
    """
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise ValueError(f"{error.msg} at {line}character {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def iter_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, int, bytes]]:
    """Stream the lines that are not blank as (line number from 1, byte offset, bytes)."""
    offset = 0
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip(b" \t\r\n" + _BOM if number == 1 else b" \t\r\n"):
                yield number, offset, raw
            offset += len(raw)


def line_id(raw: bytes) -> str | None:
    """The id of a line, None when it has none that is a text.

    Raises:
        ValueError: the line is not JSON.
    """
    match = _LEADING_ID.match(raw)
    if match:
        return match[1].decode("utf-8", "replace")
    value = parse_json(raw)
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def hash64(text: str) -> int:
    """A 64-bit hash, the same in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class LineReader:
    """Reads lines of a file at given byte offsets, from any thread and any worker process.

    It can be pickled; each process, forked or spawned, has a file handle of its own. A file that was changed after the
    reader was made is refused, since its offsets are void.

    Args:
        path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._stamp = self._stat()
        self._opened: tuple[int, io.BufferedReader, threading.Lock] | None = None

    def _stat(self) -> tuple[int, int]:
        stat = os.stat(self.path)
        return stat.st_size, stat.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _open(self) -> tuple[int, io.BufferedReader, threading.Lock]:
        if self._stat() != self._stamp:
            raise RuntimeError(f"{self.path} was changed while it was in use; open it again")
        handle = open(self.path, "rb")
        weakref.finalize(self, handle.close)
        return os.getpid(), handle, threading.Lock()

    def read(self, offset: int) -> bytes:
        """The line that starts at a byte offset."""
        opened = self._opened
        # A forked worker must not share the position of its parent's handle.
        if opened is None or opened[0] != os.getpid():
            opened = self._opened = self._open()
        _, handle, lock = opened
        with lock:
            handle.seek(offset)
            return handle.readline()


class IdIndex:
    """Finds the line of an id in a JSON Lines file with 16 bytes of memory a line.

    Args:
        path: JSON Lines file whose objects have a text ``id``.

    Raises:
        ValueError: a line is not JSON, has no id, or repeats the id of another line.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        hashes, offsets = array.array("Q"), array.array("q")
        for number, offset, raw in iter_lines(path):
            try:
                name = line_id(raw)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            if name is None:
                raise ValueError(f"{path}, line {number}: there is no text 'id'")
            hashes.append(hash64(name))
            offsets.append(offset)
        order = np.argsort(np.frombuffer(hashes, dtype=np.uint64), kind="stable") if hashes else np.zeros(0, np.int64)
        self.hashes: NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)[order]
        self._offsets: NDArray[np.int64] = np.array(offsets, dtype=np.int64)[order]
        self._reader = LineReader(path)
        self._refuse_repeats()

    def __len__(self) -> int:
        return len(self.hashes)

    def _refuse_repeats(self) -> None:
        for place in np.flatnonzero(self.hashes[1:] == self.hashes[:-1]):
            first, second = (line_id(self._reader.read(int(self._offsets[place + step]))) for step in (0, 1))
            if first == second:
                raise ValueError(f"{self._reader.path}: the id {first!r} is on more than one line; keep one")

    def find(self, name: str) -> dict[str, Any] | None:
        """The object with this id, or None."""
        wanted = np.uint64(hash64(name))
        place = int(np.searchsorted(self.hashes, wanted))
        # Different ids may share a hash, so the line itself has the last word.
        while place < len(self.hashes) and self.hashes[place] == wanted:
            found = parse_json(self._reader.read(int(self._offsets[place])))
            if found.get("id") == name:
                return dict(found)
            place += 1
        return None
