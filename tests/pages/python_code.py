# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What in a piece of Python cannot be right: syntax, imports, attributes, arguments of calls. Nothing is run."""

from __future__ import annotations

import ast
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_UNKNOWN = object()


@dataclass(frozen=True)
class _Instance:
    """Some object of a class."""

    kind: type


def python_faults(code: str) -> Iterator[tuple[int, str]]:
    """Yield line, from 1, and message of each fault."""
    try:
        tree = ast.parse(code)
        compile(tree, "block", "exec")
    except SyntaxError as error:
        yield error.lineno or 1, f"this is no Python: {error.msg}"
        return
    reader = _Reader()
    reader.visit(tree)
    yield from reader.faults


class _Reader(ast.NodeVisitor):
    """Follow names from their import to attributes and calls, as far as that can be told without running."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []
        self._names: dict[str, Any] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            module = self._import(node, name.name)
            if name.asname:
                self._names[name.asname] = module
            elif module is not _UNKNOWN:
                top = name.name.partition(".")[0]
                self._names[top] = importlib.import_module(top)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._import(node, node.module or "")
        for name in node.names:
            found = _UNKNOWN
            if module is not _UNKNOWN:
                try:
                    found = getattr(module, name.name)
                except AttributeError:
                    try:
                        found = importlib.import_module(f"{node.module}.{name.name}")
                    except ImportError:
                        self._fault(node, f"{node.module} has no {name.name!r}")
            self._names[name.asname or name.name] = found

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._bind(target, self._value(node.value))

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, _UNKNOWN)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, _UNKNOWN)
        for statement in node.body:
            self.visit(statement)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self._value(node.value)
        if owner is not _UNKNOWN and self._member(owner, node.attr) is AttributeError:
            kind = owner.kind if isinstance(owner, _Instance) else owner
            self._fault(node, f"{getattr(kind, '__name__', kind)} has no {node.attr!r}")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        found = self._value(node.func)
        if found is _UNKNOWN or isinstance(found, _Instance):
            return
        method = isinstance(node.func, ast.Attribute) and isinstance(self._value(node.func.value), _Instance)
        try:
            signature = inspect.signature(found)
        except (TypeError, ValueError):
            return  # of a function that is not written in Python
        places = [object()] * (len(node.args) + (method and inspect.isfunction(found)))
        named = {keyword.arg: object() for keyword in node.keywords if keyword.arg}
        open_ended = len(named) < len(node.keywords) or any(isinstance(arg, ast.Starred) for arg in node.args)
        try:
            if open_ended:
                signature.bind_partial(**named)
            else:
                signature.bind(*places, **named)
        except TypeError as error:
            self._fault(node, f"{ast.unparse(node.func)}: {error}")

    def _import(self, node: ast.stmt, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            self._fault(node, f"{name} cannot be imported: {error}")
            return _UNKNOWN

    def _bind(self, target: ast.expr, value: Any) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._names[node.id] = value if node is target else _UNKNOWN

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self._names.get(node.id, _UNKNOWN)
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            found = _UNKNOWN if owner is _UNKNOWN else self._member(owner, node.attr)
            return _UNKNOWN if found is AttributeError else found
        if isinstance(node, ast.Call):
            return _made(self._value(node.func))
        return _UNKNOWN

    @staticmethod
    def _member(owner: Any, name: str) -> Any:
        """Return an attribute, ``_UNKNOWN`` if there is one that only running could show, AttributeError for none."""
        if not isinstance(owner, _Instance):
            return getattr(owner, name, AttributeError)
        found = getattr(owner.kind, name, AttributeError)
        if found is not AttributeError:
            return found if inspect.isfunction(found) or inspect.ismethod(found) else _UNKNOWN
        ours = [kind for kind in owner.kind.__mro__ if kind.__module__.startswith("radbundles.")]
        if not ours or any(name in vars(kind).get("__annotations__", {}) for kind in owner.kind.__mro__):
            return _UNKNOWN
        return _UNKNOWN if any(f"self.{name}" in inspect.getsource(kind) for kind in ours) else AttributeError

    def _fault(self, node: ast.AST, message: str) -> None:
        self.faults.append((getattr(node, "lineno", 1), message))


def _made(called: Any) -> Any:
    """What a call gives: an object of the class, or of the class that a function says it returns."""
    if inspect.isclass(called):
        return _Instance(called)
    if isinstance(called, (types.FunctionType, types.MethodType)):
        try:
            hint = typing.get_type_hints(called).get("return")
        except NameError:  # a name that only type checkers import
            return _UNKNOWN
        if inspect.isclass(hint) and hint.__module__.startswith("radbundles."):
            return _Instance(hint)
    return _UNKNOWN
