# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Source of this package under another package's name."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from radbundles.components.export.import_closure import PACKAGE

_NAME = re.compile(rf"\b{PACKAGE}\b".encode())
# What a copy's own __init__ has, and so what modules may ask of the whole package.
_OF_THE_PACKAGE = ("__version__", "__file__")


def rename_package(source: str, new: str, *, is_public: Callable[[str], bool]) -> str:
    """Rewrite the imports of a module, and the texts that name something public; the rest stays as it is.

    Args:
        source: of a module of this package.
        new: name of the package that the module moves to.
        is_public: whether a text is a dotted name of this package.

    Raises:
        ValueError: if the module uses the package in a way that a copy cannot follow.
    """
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    edits: list[tuple[int, int, bytes]] = []

    def segment(node: Any) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def replace(node: Any, text: bytes) -> None:
        start, end = segment(node)
        edits.append((start, end, _NAME.sub(text, data[start:end], count=1)))

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == PACKAGE:
            replace(node, new.encode())
        elif isinstance(node, ast.Import) and any(alias.name.split(".")[0] == PACKAGE for alias in node.names):
            if len(node.names) > 1 or node.names[0].name != PACKAGE or node.names[0].asname:
                raise ValueError(f"cannot rename {ast.unparse(node)!r}: import names from modules instead")
            replace(node, f"{new} as {PACKAGE}".encode())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and is_public(node.value):
            replace(node, new.encode())
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE:
            if node.attr not in _OF_THE_PACKAGE:
                raise ValueError(f"cannot rename {PACKAGE}.{node.attr}: import it from its module instead")
    for start, end, text in sorted(edits, reverse=True):
        data = data[:start] + text + data[end:]
    return data.decode()
