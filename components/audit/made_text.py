# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The texts that an expression can give, which need not show in any part of it.

Every text of a config is judged as a path where it stands. So that this holds for every text that an expression gives,
texts may be joined only where both are known, and never taken apart: ``'x/etc'[1:]`` and ``min('a/') + 'etc'`` give
what stands nowhere. What a lambda makes out of its arguments is data and goes where data go; what components hold may
have come from there, so that no expression takes items out of them.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import islice, product
from typing import NamedTuple

from radbundles.components.audit.executed import LOOK_UP, executed_text, is_reference, reference_ids
from radbundles.components.audit.parsing import MAX_LENGTH
from radbundles.components.audit.stored import StoredValues
from radbundles.components.audit.syntax import dotted_name, looked_up

# How deep expressions are followed, and how many texts are put together.
MAX_DEPTH, MAX_TEXTS = 20, 64
MAX_MADE = 4000  # letters of one that is put together
# What is not known is taken for a name and for a folder, so that neither "/x" nor ".." beside it is misread.
_UNKNOWN = ("x", "x/")
_ITEMS_OF = ("frozenset", "list", "reversed", "set", "sorted", "tuple")
_TEXT_CALLS = ("max", "min", "os.path.basename", "str")
_TEXT_METHODS = ("get", "lower", "upper")
_NUMBERS = ("math", "numpy", "torch")
_NO_TEXT = ("counts", "device", "dtype", "epoch", "iteration", "max_epochs", "ndim", "requires_grad", "shape")


class Texts(NamedTuple):
    """What a part of an expression can be.

    Attributes:
        known: texts.
        other: a text that cannot be told.
        free: something that a lambda is given.
        built: a component.
    """

    known: tuple[str, ...] = ()
    other: bool = False
    free: bool = False
    built: bool = False

    @property
    def any(self) -> bool:
        """Whether it can be a text."""
        return bool(self.known) or self.other

    def join(self, more: Texts) -> Texts:
        """Either of two."""
        known = tuple(dict.fromkeys((*self.known, *more.known)))
        return Texts(
            known[:MAX_TEXTS],
            self.other or more.other or len(known) > MAX_TEXTS,
            self.free or more.free,
            self.built or more.built,
        )


NO_TEXT, SOME_TEXT, FREE, BUILT = Texts(), Texts(other=True), Texts(free=True), Texts(built=True)
Bound = Mapping[str, Texts]


class MadeTexts:
    """Tells what texts the parts of expressions can give.

    Args:
        stored: what references lead to.
        names: what the configs import, by the name they give it.
    """

    def __init__(self, stored: StoredValues, names: Mapping[str, str]) -> None:
        self.stored, self.names = stored, names
        self._seen: dict[str, Texts] = {}
        self._items: dict[str, Texts] = {}

    def of(self, node: ast.AST, bound: Bound, depth: int = 0) -> Texts:
        """The texts that a part of an expression can be."""
        if depth > MAX_DEPTH:
            return SOME_TEXT
        if isinstance(node, ast.Constant):
            return Texts((node.value,)) if isinstance(node.value, str) else NO_TEXT
        if (ident := looked_up(node)) is not None:
            return self._at(ident, depth)
        if isinstance(node, ast.Name) and node.id in bound:
            return bound[node.id]
        if (path := dotted_name(node, self.names, bound)) is not None:
            return NO_TEXT if path.partition(".")[0] in _NUMBERS else SOME_TEXT
        if isinstance(node, (ast.IfExp, ast.BoolOp)):
            parts = (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values
            return _either(self.of(part, bound, depth + 1) for part in parts)
        if isinstance(node, ast.BinOp):
            return self._sum(node, bound, depth) if isinstance(node.op, ast.Add) else NO_TEXT
        if isinstance(node, ast.Call):
            return self._call(node, bound, depth)
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            return self._part(node, bound, depth)
        if isinstance(node, ast.Starred):
            return self.items(node.value, bound, depth + 1)
        return NO_TEXT

    def items(self, node: ast.AST, bound: Bound, depth: int = 0) -> Texts:
        """The texts that a loop over a part of an expression can meet."""
        if depth > MAX_DEPTH:
            return SOME_TEXT
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return _either(self.of(one, bound, depth + 1) for one in node.elts)
        if (ident := looked_up(node)) is not None:
            return self._items_at(ident, depth)
        if isinstance(node, ast.Name):
            return bound.get(node.id, NO_TEXT) if bound.get(node.id, NO_TEXT).free else SOME_TEXT
        if isinstance(node, ast.IfExp):
            return self.items(node.body, bound, depth + 1).join(self.items(node.orelse, bound, depth + 1))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.items(node.left, bound, depth + 1).join(self.items(node.right, bound, depth + 1))
        if isinstance(node, ast.Call):
            path = dotted_name(node.func, self.names, bound)
            if path in _ITEMS_OF and len(node.args) == 1:
                return self.items(node.args[0], bound, depth + 1)
            if path in ("enumerate", "range", "zip"):
                return NO_TEXT
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return self.items(node.value, bound, depth + 1)
        return FREE if self.of(node, bound, depth + 1).free else SOME_TEXT

    def _at(self, ident: str, depth: int) -> Texts:
        if ident not in self._seen:
            self._seen[ident] = SOME_TEXT  # what leads back to itself
            self._seen[ident] = self._told(ident, depth)
        return self._seen[ident]

    def _told(self, ident: str, depth: int) -> Texts:
        if self.stored.is_copied(ident):
            return SOME_TEXT
        found = _either(self._value(value, depth) for value in self.stored.at(ident))
        if target := self.stored.target(ident):
            # A function can give any text; a class, itself.
            found = found.join(BUILT if target.rpartition(".")[2][:1].isupper() else SOME_TEXT)
        return found

    def _value(self, value: object, depth: int) -> Texts:
        if not isinstance(value, str):
            return NO_TEXT
        if value.startswith("%"):
            return SOME_TEXT
        if is_reference(value):
            return self._at(reference_ids(value)[0], depth + 1)
        if not value.startswith("$"):
            return Texts((value,))
        tree = _tree(value)
        return SOME_TEXT if tree is None else self.of(tree, {}, depth + 1)

    def _items_at(self, ident: str, depth: int) -> Texts:
        if ident not in self._items:
            self._items[ident] = SOME_TEXT
            self._items[ident] = self._items_told(ident, depth)
        return self._items[ident]

    def _items_told(self, ident: str, depth: int) -> Texts:
        if self.stored.is_copied(ident):
            return SOME_TEXT
        inside = self.stored.inside(ident)
        found = _either(self._at(one, depth + 1) for one in inside)
        if not all(one.rpartition("::")[2].isdecimal() for one in inside) or self.stored.target(ident):
            found = found.join(SOME_TEXT)  # the keys
        for value in self.stored.at(ident):
            if isinstance(value, str) and is_reference(value):
                found = found.join(
                    self._items_at(reference_ids(value)[0], depth + 1) if depth < MAX_DEPTH else SOME_TEXT
                )
            elif isinstance(value, str):
                tree = _tree(value) if value.startswith("$") else None
                found = found.join(SOME_TEXT if tree is None else self.items(tree, {}, depth + 1))
        return found

    def _sum(self, node: ast.BinOp, bound: Bound, depth: int) -> Texts:
        left, right = (self.of(side, bound, depth + 1) for side in (node.left, node.right))
        if not left.any and not right.any:
            return NO_TEXT
        if left.other or right.other:
            return SOME_TEXT
        return _joined([left.known or _UNKNOWN, right.known or _UNKNOWN], "".join)

    def _call(self, node: ast.Call, bound: Bound, depth: int) -> Texts:
        path = dotted_name(node.func, self.names, bound)
        if path == "os.path.join":
            return self.path(node.args, bound, depth)
        if path in ("max", "min") and len(node.args) > 1:
            return _either(self.of(one, bound, depth + 1) for one in node.args)
        if path is not None:
            return SOME_TEXT if path in _TEXT_CALLS else NO_TEXT
        if not isinstance(node.func, ast.Attribute):
            return SOME_TEXT
        if self.of(node.func.value, bound, depth + 1).free:
            return FREE
        return SOME_TEXT if node.func.attr in _TEXT_METHODS else NO_TEXT

    def path(self, parts: Iterable[ast.AST], bound: Bound, depth: int = 0) -> Texts:
        """The texts that ``os.path.join`` makes; what cannot be told is judged elsewhere, and stands for a name."""
        every = [self.of(part, bound, depth + 1) for part in parts]
        return _joined([one.known or _UNKNOWN for one in every], lambda texts: posixpath.join("", *texts))

    def _part(self, node: ast.Subscript | ast.Attribute, bound: Bound, depth: int) -> Texts:
        whole = self.of(node.value, bound, depth + 1)
        if whole.free:
            return FREE
        if isinstance(node, ast.Attribute):
            return NO_TEXT if node.attr in _NO_TEXT else SOME_TEXT
        if isinstance(node.slice, ast.Slice):
            return NO_TEXT  # of a list: nothing slices a text
        return SOME_TEXT


def _joined(parts: list[tuple[str, ...]], join: object) -> Texts:
    if sum(max(map(len, part)) for part in parts) > MAX_MADE:
        return SOME_TEXT  # texts of texts of texts would fill the memory
    count = reduce(lambda total, part: total * len(part), parts, 1)
    made = tuple(dict.fromkeys(join(texts) for texts in islice(product(*parts), MAX_TEXTS)))  # type: ignore[operator]
    return Texts(made, other=count > MAX_TEXTS)


def _either(found: Iterable[Texts]) -> Texts:
    return reduce(Texts.join, found, NO_TEXT)


def _tree(value: str) -> ast.expr | None:
    """The tree of a stored expression; None if it has none, in which case it is refused where it stands."""
    if LOOK_UP in value or len(value) > MAX_LENGTH:
        return None
    try:
        return ast.parse(executed_text(value).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
