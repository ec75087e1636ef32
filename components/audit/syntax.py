# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What the parts of a parsed expression name: modules, references, the preflight."""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping

from radbundles.components.audit.executed import LOOK_UP

PREFLIGHT = ("radbundles", "require")


def dotted_name(node: ast.AST, names: Mapping[str, str], bound: Container[str] = ()) -> str | None:
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


def looked_up(node: ast.AST) -> str | None:
    """Return the id, parted by "::", of the look-up that stands for a reference; None for anything else."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name) or node.value.id != LOOK_UP:
        return None
    return str(node.slice.value) if isinstance(node.slice, ast.Constant) else None


def readable(node: ast.AST) -> str:
    """Return the text of a part of an expression, with references as configs write them."""

    class References(ast.NodeTransformer):
        def visit_Subscript(self, node: ast.Subscript) -> ast.AST:  # noqa: N802
            ident = looked_up(node)
            return self.generic_visit(node) if ident is None else ast.Name(f"@{ident.replace('::', '#')}", ast.Load())

    return ast.unparse(References().visit(ast.parse(ast.unparse(node), mode="eval")))


def is_text(node: ast.AST) -> bool:
    """Whether a part of an expression is a text in quotes."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_preflight(node: ast.Call) -> bool:
    """Whether a call is ``__import__('radbundles').require('>=0.1,<0.2')`` and nothing else."""
    function = node.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Call):
        return False
    module = function.value
    return (
        isinstance(module.func, ast.Name)
        and module.func.id == "__import__"
        and not module.keywords
        and [argument.value if isinstance(argument, ast.Constant) else None for argument in module.args]
        == [PREFLIGHT[0]]
        and function.attr == PREFLIGHT[1]
        and not node.keywords
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
    )
