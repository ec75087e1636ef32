# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""An archive with two tables of contents: readers that look for them in different places see different pickles."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from tests.components.audit.conftest import MakeBundle, only_refused


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def parts(archive: bytes) -> tuple[bytes, bytes, int]:
    """Members, table of contents and number of members."""
    count, length, start = struct.unpack("<HLL", archive[-12:-2])
    return archive[:start], archive[start : start + length], count


def moved(table: bytes, by: int) -> bytes:
    """The table of members that lie further behind."""
    found, place = b"", 0
    while place < len(table):
        name, extra, comment = struct.unpack("<HHH", table[place + 28 : place + 34])
        (start,) = struct.unpack("<L", table[place + 42 : place + 46])
        end = place + 46 + name + extra + comment
        found += table[place : place + 42] + struct.pack("<L", start + by) + table[place + 46 : end]
        place = end
    return found


def wide(count: int, length: int, start: int) -> bytes:
    """The wide form of the record that says where a table lies."""
    return struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)


def test_archives_that_readers_see_in_two_ways_are_refused(make_bundle: MakeBundle, mark: Path) -> None:
    folder = make_bundle()
    torch.save({"a": torch.zeros(3)}, folder / "good.pt")
    torch.save(Payload(mark), folder / "evil.pt")
    shown, hidden = ((folder / name).read_bytes() for name in ("good.pt", "evil.pt"))
    (folder / "good.pt").unlink()
    (folder / "evil.pt").unlink()
    members, table, count = parts(shown)
    more, other, others = parts(hidden)
    other = moved(other, len(members))
    start = len(members) + len(more)
    # Python takes the record right before the locator, torch the one that the locator names.
    data = members + more + other + wide(others, len(other), start)
    data += table + wide(count, len(table), start + len(other) + 56)
    data += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(other), 1)
    data += struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    file = folder / "models" / "model.pt"
    file.write_bytes(data)
    with zipfile.ZipFile(file) as archive:
        assert "good/data.pkl" in archive.namelist()
    assert "table of contents" in only_refused(folder).message
