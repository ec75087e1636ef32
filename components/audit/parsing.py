# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the text of an expression to its syntax tree, and what is found out about it on the way."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from radbundles.components.audit.executed import LOOK_UP, executed_text

# An expression of a bundle is a line; the parser of Python is not made for hostile megabytes.
MAX_LENGTH = 4000
WRITE_PLAINLY = "write it with the names and methods that the audit knows, or as a _target_"


@dataclass
class Judged:
    """What one expression does.

    Attributes:
        uses: names that it calls, imports or reads.
        paths: texts in it that are parts of paths.
        faults: what is refused, each with its mend.
    """

    uses: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, message: str, mend: str = WRITE_PLAINLY) -> None:
        """Note one fault, once."""
        if (message, mend) not in self.faults:
            self.faults.append((message, mend))


def parse(value: str, judged: Judged) -> ast.Module | None:
    """Return the tree of what ``eval`` gets for a text with "$" and absolute ids; None if it is refused at once."""
    if LOOK_UP in value:
        judged.refuse("names the look-up that MONAI puts in place of references", "use @ and the id")
        return None
    if len(value) > MAX_LENGTH:
        judged.refuse(f"is longer than {MAX_LENGTH} characters", "make it shorter")
        return None
    text = executed_text(value)
    try:
        return ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "cannot be parsed"
        judged.refuse(f"is no Python expression: {reason}", "mend the expression")
        return None


def reference_fault(ident: str) -> tuple[str, str] | None:
    """Say why an id, parted by "::", may not be referred to; None if it may."""
    first = ident.split("::")[0]
    if first == "":
        return "refers to the whole config or is a product of matrices", "name the id"
    if first == "imports":
        return "refers to an import, which hands a whole module on", "name the id of a value"
    return None
