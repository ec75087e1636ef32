# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which cards are not what their sources say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from radbundles.components.cards.card import card_text
from radbundles.components.cards.data_license import data_license


def _texts(folder: Path) -> dict[Path, str]:
    docs = folder / "docs"
    return {docs / "README.md": card_text(folder), docs / "data_license.txt": data_license(folder)}


def write_card(folder: Path) -> list[Path]:
    """Write ``docs/README.md`` and ``docs/data_license.txt`` of a bundle; files that are right already are not touched.

    Returns:
        the files that changed.

    Raises:
        OSError, ValueError: as :func:`card_text`.
    """
    changed = [path for path, text in _texts(folder).items() if _content(path) != text]
    texts = _texts(folder)
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed


def stale_cards(folders: Iterable[Path]) -> dict[Path, str]:
    """Compare the cards of bundles with what they would be if they were written now.

    Args:
        folders: roots of bundles.

    Returns:
        each file that differs -> the difference, as ``diff -u`` shows it.

    Raises:
        OSError, ValueError: as :func:`card_text`.
    """
    found = {}
    for folder in folders:
        for path, text in _texts(folder).items():
            old = _content(path) or ""
            if old != text:
                lines = difflib.unified_diff(
                    old.splitlines(), text.splitlines(), f"{path} as it is", f"{path} as it should be", lineterm=""
                )
                found[path] = "\n".join(lines) + "\n"
    return found


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
