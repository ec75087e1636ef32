# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Streaming of CSV tables as hospitals and PhysioNet write them: any delimiter, byte order marks, gzip."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.data.fault import Fault

_DELIMITERS = ",;\t|"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The csv module refuses cells of more than 128 KiB by default; long reports with addenda come near it.
_LONGEST_CELL = 2**24


class Table:
    """A CSV file with a header line, read row by row.

    Args:
        path: ``.csv`` or ``.csv.gz``; the name without ``.gz`` finds the other one too.
        delimiter: one character, by default the one of comma, semicolon, tab and bar that is in the header most often.
        encoding: text encoding, by default that of the byte order mark, else UTF-8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: empty, not a text table, a wrong encoding, or a column name that is blank or repeated.
    """

    def __init__(self, path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> None:
        self.path = find_table(path)
        with self._open_bytes() as file:
            start = file.read(4)
        if not start:
            raise ValueError(f"{self.path} is empty; a table starts with a line of column names")
        if start[:2] == b"PK" or start == b"\xd0\xcf\x11\xe0":
            raise ValueError(f"{self.path} is an Excel workbook; save it as 'CSV UTF-8' and give that file")
        if encoding is not None:
            try:
                codecs.lookup(encoding)
            except LookupError:
                raise ValueError(f"encoding {encoding!r} is unknown; try utf-8, cp1252, latin-1 or gb18030") from None
        self.encoding = encoding or next((name for bom, name in _BOMS.items() if start.startswith(bom)), "utf-8")
        self._delimiter = delimiter
        with self._open_text() as text:
            reader = self._reader(text)
            self.columns = [name.strip() for name in self._guarded(reader, 1)]
        # Spreadsheets end every line with the delimiters of their empty columns.
        self._width = len(self.columns)
        while self.columns and not self.columns[-1]:
            self.columns.pop()
        repeated = {name for name in self.columns if self.columns.count(name) > 1}
        if repeated:
            raise ValueError(f"{self.path}: the columns {sorted(repeated)} are there more than once; rename them")

    def _open_bytes(self) -> io.BufferedIOBase:
        return gzip.open(self.path, "rb") if self.path.suffix == ".gz" else open(self.path, "rb")

    def _open_text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._open_bytes(), encoding=self.encoding, newline="")  # type: ignore[arg-type]

    def _reader(self, text: io.TextIOWrapper) -> Iterator[list[str]]:
        csv.field_size_limit(_LONGEST_CELL)
        if self._delimiter is None:
            try:
                header = text.readline()
            except UnicodeError:
                raise self._wrong_encoding() from None
            self._delimiter = max(_DELIMITERS, key=header.count)
            text.seek(0)
        return csv.reader(text, delimiter=self._delimiter)

    def _wrong_encoding(self) -> ValueError:
        return ValueError(
            f"{self.path} is not {self.encoding} text; name its encoding, "
            "for example --encoding cp1252 (Western Windows) or gb18030 (Chinese)"
        )

    def _guarded(self, reader: Iterator[list[str]], row: int) -> list[str]:
        try:
            return next(reader)
        except UnicodeError:
            raise self._wrong_encoding() from None
        except csv.Error as error:
            raise ValueError(f"{self.path}, row {row}: {error}; is it a CSV file?") from None

    def __iter__(self) -> Iterator[tuple[int, dict[str, str] | Fault]]:
        """Yield (row number, cells by column).

        The header is row 1. A cell with line breaks makes no further rows; blank rows count and are left out.
        """
        width = len(self.columns)
        with self._open_text() as text:
            reader = self._reader(text)
            self._guarded(reader, 1)
            row = 1
            while True:
                row += 1
                try:
                    cells = self._guarded(reader, row)
                except StopIteration:
                    return
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) == self._width and not any(cell.strip() for cell in cells[width:]):
                    cells = cells[:width]
                if len(cells) != width:
                    yield (
                        row,
                        layout_fault(
                            row,
                            "wrong_value",
                            f"the row has {len(cells)} cells, the header {width}",
                            "Put cells with the delimiter or a line break into double quotes, and close every quote.",
                        ),
                    )
                    continue
                yield row, {name: cell.strip() for name, cell in zip(self.columns, cells, strict=True)}

    def require(self, *columns: str) -> None:
        """Refuse a table that lacks a column, with a ValueError that names those it has."""
        absent = [name for name in columns if name not in self.columns]
        if absent:
            lacking = ", ".join(map(repr, absent))
            raise ValueError(f"{self.path} has no column {lacking}; it has {', '.join(self.columns)}")


def find_table(path: Path) -> Path:
    """The table, or its gzip twin (``.csv`` for ``.csv.gz`` and the other way round)."""
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder; name the table in it")
    twin = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    for candidate in (path, twin):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{path} does not exist")


def layout_fault(
    row: int, code: str, message: str, fix: str, *, name: str | None = None, field: str | None = None
) -> Fault:
    """A fault of a source row."""
    return Fault(row=row, id=name, field=field, code=code, message=message, fix=fix)
