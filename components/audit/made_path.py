# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The paths that an expression makes out of parts, which need not show in any of them."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Mapping
from itertools import islice, product

from radbundles.components.audit.executed import LOOK_UP
from radbundles.components.audit.texts import path_fault

# How deep expressions are followed, and how many texts are put together.
MAX_DEPTH, MAX_TEXTS = 20, 64


def dotted_name(node: ast.AST, names: Mapping[str, str], bound: frozenset[str] = frozenset()) -> str | None:
    """Return the dotted name from a module or builtin on; None for what hangs on a reference or a bound name.

    Args:
        node: part of an expression.
        names: what the configs import, by the name they give it.
        bound: names that lambdas and comprehensions around the node bind.
    """
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id in bound or node.id == LOOK_UP:
        return None
    return ".".join((names.get(node.id, node.id), *attributes))


def made_path_fault(node: ast.AST, names: Mapping[str, str], texts: Mapping[str, tuple[str, ...]]) -> str | None:
    """Say what is wrong with the paths that a node can give, as far as it can be told; None if nothing is.

    Args:
        node: part of an expression.
        names: what the configs import, by the name they give it.
        texts: the plain texts that stand at an id (parted by "::") in one config or another.
    """
    # What is not known is taken for a name and for a folder, so that neither "/x" nor ".." beside it is misread.
    for unknown in ("x", "x/"):
        for text in _texts_of(node, names, texts, unknown, 0):
            if fault := path_fault(text):
                return f"makes {text!r}, which {fault}"
    return None


def _texts_of(
    node: ast.AST, names: Mapping[str, str], texts: Mapping[str, tuple[str, ...]], unknown: str, depth: int
) -> tuple[str, ...]:
    def inner(part: ast.AST) -> tuple[str, ...]:
        return _texts_of(part, names, texts, unknown, depth + 1)

    found: tuple[str, ...] = ()
    if depth > MAX_DEPTH:
        pass
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        found = (node.value,)
    elif isinstance(node, ast.Subscript) and (ident := looked_up(node)) is not None:
        found = texts.get(ident, ())
    elif isinstance(node, ast.IfExp):
        found = (*inner(node.body), *inner(node.orelse))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        found = tuple("".join(parts) for parts in islice(product(inner(node.left), inner(node.right)), MAX_TEXTS))
    elif isinstance(node, ast.Call) and dotted_name(node.func, names) == "os.path.join":
        parted = [inner(argument) for argument in node.args]
        found = tuple(posixpath.join("", *parts) for parts in islice(product(*parted), MAX_TEXTS))
    return found[:MAX_TEXTS] or (unknown,)


def looked_up(node: ast.Subscript) -> str | None:
    """Return the id, parted by "::", of the look-up that stands for a reference; None for any other subscript."""
    if isinstance(node.value, ast.Name) and node.value.id == LOOK_UP and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return None


def readable(node: ast.AST) -> str:
    """Return the text of a part of an expression, with references as configs write them."""

    class References(ast.NodeTransformer):
        def visit_Subscript(self, node: ast.Subscript) -> ast.AST:  # noqa: N802
            ident = looked_up(node)
            return self.generic_visit(node) if ident is None else ast.Name(f"@{ident.replace('::', '#')}", ast.Load())

    return ast.unparse(References().visit(ast.parse(ast.unparse(node), mode="eval")))
