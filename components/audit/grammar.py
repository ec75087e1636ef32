# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The forms that expressions may have: those that configs need, so that no text comes about that nobody has judged.

Python has many ways to take a text apart and to put one together. Here are few: sums and products of numbers, sums of
lists, paths by ``os.path.join`` out of texts that stand in the configs, items by one constant key.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Mapping

from radbundles.components.audit.executed import LOOK_UP, executed_text, is_reference, reference_ids
from radbundles.components.audit.parsing import MAX_LENGTH
from radbundles.components.audit.stored import StoredValues
from radbundles.components.audit.syntax import dotted_name, is_text, looked_up

MAX_DEPTH = 20
MAX_NUMBER = 2**63
# Calls that give a number or a tensor, or fail.
_NUMBERS = frozenset("abs bool float int isinstance len max min round sum".split())
_NUMBER_MODULES = ("math.", "torch.cuda.", "torch.tensor", "torch.zeros", "torch.ones", "torch.distributed.get_")
_LISTS = frozenset(("list", "sorted", "tuple"))
# What may be looped over, since no text has it: parameters, the values of an object, files.
_LOOPED = frozenset(("parameters", "named_parameters", "values"))
_JOINED = frozenset(("os.path.join", "os.path.basename"))
_PATHS = frozenset(("os.makedirs", "os.path.exists", "os.path.isdir", "os.path.isfile", "glob.glob", *_JOINED))
_LOOP_MEND = "loop over parameters(), values(), sorted(glob.glob(...)) or a list that stands in the expression"
_SUM_MEND = "let numbers stand in the configs, or write one factor with a point (2.0); join paths by os.path.join"


class Grammar:
    """Judges the forms of one expression.

    Args:
        refuse: takes a fault and its mend.
        stored: what references lead to.
        names: what the configs import, by the name they give it.
        allow: names that the user trusts, whatever they give.
    """

    def __init__(
        self,
        refuse: Callable[[str, str], None],
        stored: StoredValues,
        names: Mapping[str, str],
        allow: Container[str] = (),
    ) -> None:
        self.refuse, self.stored, self.names, self.allow = refuse, stored, names, allow

    def judge(self, expression: ast.expr) -> None:
        """Judge every part of an expression."""
        bound = {one.arg for node in ast.walk(expression) if isinstance(node, ast.arguments) for one in node.args}
        bound |= {one.id for one in ast.walk(expression) if isinstance(one, ast.Name) and _is_stored(one)}
        types = {id(kind) for node in ast.walk(expression) for kind in self._types(node)}
        for node in ast.walk(expression):
            self._form(node, types, bound)

    def _form(self, node: ast.AST, types: set[int], bound: set[str]) -> None:
        if isinstance(node, (ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Set, ast.Starred, ast.Slice)):
            self.refuse(f"holds a {type(node).__name__}", "write out a list, or name the id of the item")
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            if abs(node.value) > MAX_NUMBER and abs(node.value) != float("inf"):
                self.refuse("holds a number that no config needs", "make it smaller")
        elif isinstance(node, ast.Dict):
            if not all(key is not None and is_text(key) for key in node.keys):
                self.refuse("has a dict whose keys are no plain texts", "write out its keys")
        elif isinstance(node, ast.ListComp):
            if len(node.generators) > 1 or not self._looped(node.generators[0].iter):
                self.refuse("loops over what could be a text", _LOOP_MEND)
        elif isinstance(node, ast.Lambda):
            given = node.args
            if given.defaults or given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg:
                self.refuse("has a lambda with more than plain arguments", "name plain arguments")
        elif isinstance(node, ast.Subscript):
            if looked_up(node) is None and not _is_key(node.slice):
                self.refuse("takes an item by a key that is computed", "name the key")
        elif isinstance(node, ast.Name) and node.id in ("bool", "dict", "float", "int", "list", "set", "str", "tuple"):
            if id(node) not in types:
                self.refuse(f"hands on the type {node.id!r}", "use it in isinstance or call int, float, list, tuple")
        elif isinstance(node, ast.BinOp):
            self._arithmetic(node, bound)
        elif isinstance(node, ast.Call):
            self._call(node, bound)

    def _types(self, node: ast.AST) -> list[ast.AST]:
        """What stands where a type may: the second argument of isinstance, and what is called."""
        if not isinstance(node, ast.Call):
            return []
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2:
            return [node.func, *ast.walk(node.args[1])]
        return [node.func]

    def _call(self, node: ast.Call, bound: set[str]) -> None:
        path = dotted_name(node.func, self.names, bound)
        if isinstance(node.func, ast.Name) and path is not None and "." not in path and node.keywords:
            self.refuse(f"gives {path!r} an argument by name", "leave it out")
        if path in _LISTS and not (len(node.args) == 1 and self._looped(node.args[0])):
            self.refuse(f"makes {path!r} of what could be a text", _LOOP_MEND)
        elif path in ("max", "min") and (len(node.args) < 2 or not all(self.number(one, bound) for one in node.args)):
            self.refuse(f"takes the {path} of what could be texts", "give it numbers, one by one")
        elif path == "sum" and len(node.args) != 1:
            self.refuse("sums to something else than a number", "give one list of numbers")
        elif path in _PATHS:
            for argument in node.args[:1] if path not in _JOINED else node.args:
                if not self._known(argument, bound):
                    self.refuse("makes a path of what does not stand in the configs", "join texts and their ids")

    def _arithmetic(self, node: ast.BinOp, bound: set[str]) -> None:
        sides = (node.left, node.right)
        if isinstance(node.op, ast.Add) and (any(map(self._list, sides)) or all(self._known(o, bound) for o in sides)):
            return
        if not self.number(node, bound):
            self.refuse(f"uses the operator {type(node.op).__name__} on what could be texts", _SUM_MEND)

    def number(self, node: ast.AST, bound: set[str], depth: int = 0) -> bool:
        """Whether a part of an expression can only give a number or a tensor, or fail."""

        def of(part: ast.AST) -> bool:
            return self.number(part, bound, depth + 1)

        if depth > MAX_DEPTH:
            return False
        if isinstance(node, ast.Constant):
            return node.value is None or isinstance(node.value, (int, float))
        if (ident := looked_up(node)) is not None:
            return self._number_at(ident, depth)
        if isinstance(node, ast.UnaryOp):
            return True  # no text has a sign
        if isinstance(node, ast.Compare):
            return True
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            return all(map(of, node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse)))
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, (ast.Add, ast.Sub, ast.Div, ast.FloorDiv)):
                return of(node.left) or of(node.right)  # a text and a number have no sum
            if isinstance(node.op, ast.Mult) and (_is_float(node.left) or _is_float(node.right)):
                return True  # nor has a text a half
            return of(node.left) and of(node.right)
        if isinstance(node, ast.Call):
            path = dotted_name(node.func, self.names, bound) or ""
            return path in _NUMBERS or path.startswith(_NUMBER_MODULES)
        return False

    def _once(self, kind: str, ident: str, told: Callable[[], bool]) -> bool:
        """Tell each id once in an audit, however many expressions lead there; what leads back to itself is not told."""
        seen = self.stored.told
        if (kind, ident) not in seen:
            seen[kind, ident] = False
            seen[kind, ident] = told()
        return seen[kind, ident]

    def _number_at(self, ident: str, depth: int) -> bool:
        # In a list, another config can put another item at this place.
        if self.stored.is_copied(ident) or self.stored.inside(ident) or any(map(_is_place, ident.split("::"))):
            return False
        values = self.stored.at(ident)
        return bool(values) and self._once(
            "number", ident, lambda: all(self._number_of(value, depth) for value in values)
        )

    def _number_of(self, value: object, depth: int) -> bool:
        if not isinstance(value, str):
            return value is None or isinstance(value, (int, float))
        if depth > MAX_DEPTH:
            return False
        if is_reference(value):
            return self._number_at(reference_ids(value)[0], depth + 1)
        tree = _tree(value)
        return tree is not None and self.number(tree, set(), depth + 1)

    def _known(self, node: ast.AST, bound: set[str], depth: int = 0) -> bool:
        """Whether all texts that a part can give are known, or it gives none."""

        def of(part: ast.AST) -> bool:
            return self._known(part, bound, depth + 1)

        if depth > MAX_DEPTH:
            return False
        if (ident := looked_up(node)) is not None:
            return self._known_at(ident, depth)
        if isinstance(node, ast.IfExp):
            return of(node.body) and of(node.orelse)
        if isinstance(node, ast.Call):
            path = dotted_name(node.func, self.names, bound)
            return path in self.allow or (path in _JOINED and all(map(of, node.args)))
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Add) and of(node.left) and of(node.right)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return dotted_name(node, self.names, bound) in self.allow
        return isinstance(node, ast.Constant)

    def _known_at(self, ident: str, depth: int) -> bool:
        if self.stored.is_copied(ident) or self.stored.inside(ident):
            return False
        values = self.stored.at(ident)
        return bool(values) and self._once(
            "known", ident, lambda: all(self._known_value(value, depth) for value in values)
        )

    def _known_value(self, value: object, depth: int) -> bool:
        if not isinstance(value, str):
            return value is None or isinstance(value, (int, float))
        if is_reference(value):
            return self._known_at(reference_ids(value)[0], depth + 1) if depth < MAX_DEPTH else False
        if value.startswith("%"):
            return False
        tree = _tree(value) if value.startswith("$") else ast.Constant(value)
        return tree is not None and self._known(tree, set(), depth + 1)

    def _looped(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in _LOOPED and not node.args:
                return True
            path = dotted_name(node.func, self.names)
            return path == "glob.glob" or (path in _LISTS and len(node.args) == 1 and self._looped(node.args[0]))
        return isinstance(node, (ast.List, ast.ListComp))

    def _list(self, node: ast.AST) -> bool:
        """Whether a part gives a list, to which nothing but a list can be added."""
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Add) and (self._list(node.left) or self._list(node.right))
        return isinstance(node, (ast.List, ast.ListComp))


def _tree(value: str) -> ast.expr | None:
    """The tree of a stored expression; None for what is none, or is refused where it stands."""
    if not value.startswith("$") or LOOK_UP in value or len(value) > MAX_LENGTH:
        return None
    try:
        return ast.parse(executed_text(value).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _is_float(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _is_key(node: ast.AST) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, (int, str)) and not isinstance(inner.value, bool)


def _is_place(key: str) -> bool:
    return key.lstrip("-").isdecimal()
