# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that cards are kept in: writes them, and tells which are not what their sources say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from radbundles.components.cards.card import card_text
from radbundles.components.cards.data_license import data_license
from radbundles.components.cards.licenses_page import licenses_page


def stale_cards(folders: Iterable[Path], *, licenses: Path | None = None) -> dict[Path, str]:
    """Compare ``docs/README.md`` and ``docs/data_license.txt`` of bundles with what they would be if written now.

    Args:
        folders: roots of bundles.
        licenses: the page of all data sets, if it is to be compared as well.

    Returns:
        each file that differs or is missing -> the difference, as ``diff -u`` shows it.

    Raises:
        OSError, ValueError: as :func:`~radbundles.components.cards.card_text`.
    """
    found = {}
    for path, text in _texts(folders, licenses).items():
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if old != text:
            names = f"{path} as it is", f"{path} as it should be"
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), *names, lineterm="")
            found[path] = "\n".join(lines) + "\n"
    return found


def write_cards(folders: Iterable[Path], *, licenses: Path | None = None) -> list[Path]:
    """Write what :func:`stale_cards` compares; files that are right already are not touched.

    Returns:
        the files that were written.

    Raises:
        OSError, ValueError: as :func:`~radbundles.components.cards.card_text`; then nothing is written.
    """
    written = []
    for path, text in _texts(folders, licenses).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _texts(folders: Iterable[Path], licenses: Path | None) -> dict[Path, str]:
    texts = {} if licenses is None else {licenses: licenses_page()}
    for folder in folders:
        texts[folder / "docs" / "README.md"] = card_text(folder)
        texts[folder / "docs" / "data_license.txt"] = data_license(folder)
    return texts
