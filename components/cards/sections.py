# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The hand-written part of a card: ``docs/sections.md``."""

from __future__ import annotations

import difflib
from pathlib import Path

SECTIONS = (
    "Model Description",
    "Without Weights",
    "Encoder Weights",
    "Intended Use",
    "Data",
    "Preprocessing",
    "Training Configuration",
    "Performance",
    "MONAI Bundle Commands",
    "System Configuration",
    "Limitations",
    "References",
)
"""Headings that ``docs/sections.md`` may have; ``Without Weights`` is said of a bundle that holds none."""


def read_sections(folder: Path) -> dict[str, str]:
    """Read the hand-written sections of a bundle's card.

    Args:
        folder: root of the bundle.

    Returns:
        heading -> text, empty where the bundle has no ``docs/sections.md``.

    Raises:
        ValueError: text before the first heading, a heading that no card has, or one twice; names file and line.
    """
    path = folder / "docs" / "sections.md"
    if not path.is_file():
        return {}
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            title = line[3:].strip()
            if title not in SECTIONS:
                close = difflib.get_close_matches(title, SECTIONS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it may be one of {', '.join(SECTIONS)}"
                raise ValueError(f"{path}, line {number}: a card has no section {title!r}: {hint}")
            if title in found:
                raise ValueError(f"{path}, line {number}: the section {title!r} is there already: join the two")
            lines = found[title] = []
        elif lines is not None:
            lines.append(line)
        elif line.strip():
            raise ValueError(f"{path}, line {number}: text before the first heading: put it under one, '## Data' say")
    return {title: "\n".join(text).strip() for title, text in found.items()}
