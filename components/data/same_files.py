# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files have the same content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BLOCK = 1 << 20


def content_hash(path: str | os.PathLike[str]) -> int:
    """A 64-bit hash of a whole file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return int.from_bytes(digest.digest(), "little")


class SameFiles:
    """Remembers files as they are met, to tell which are copies. A file is read only when another has its size."""

    def __init__(self) -> None:
        self._count = 0
        self._lone: dict[int, tuple[str, int] | None] = {}  # the first file of a size, until it was to be compared
        self._contents: dict[tuple[int, int], int] = {}

    def first(self, path: str | Path) -> int | None:
        """Running number, from 0, of the first file of this content; None if this is it or cannot be read."""
        number = self._count
        self._count += 1
        try:
            size = os.stat(path).st_size
            if size not in self._lone:
                self._lone[size] = (os.fspath(path), number)
                return None
            lone = self._lone[size]
            if lone is not None:
                self._contents[size, content_hash(lone[0])] = lone[1]
                self._lone[size] = None
            earlier = self._contents.setdefault((size, content_hash(path)), number)
        except OSError:
            return None
        return None if earlier == number else earlier
