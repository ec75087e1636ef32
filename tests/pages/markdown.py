# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The fenced blocks of a page."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^ *(`{3,}|~{3,}) *([^\s`]*)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Args:
        page: file.
        number: place among the blocks of the page, from 1.
        line: line of the first fence, from 1.
        language: word behind the first fence; may be empty.
        text: lines between the fences.
    """

    page: Path
    number: int
    line: int
    language: str
    text: str


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order.

    Raises:
        ValueError: the last block has no end.
    """
    blocks: list[Block] = []
    opened: tuple[int, str, str] | None = None
    held: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, held = (number, fence[1], fence[2]), []
        elif fence and fence[1].startswith(opened[1]) and not fence[2]:
            text = textwrap.dedent("\n".join(held) + "\n")
            blocks.append(Block(page, len(blocks) + 1, opened[0], opened[2], text))
            opened = None
        else:
            held.append(line)
    if opened is not None:
        raise ValueError(f"{page.name}:{opened[0]}: this block has no end")
    return blocks
