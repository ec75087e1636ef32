# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Refuses the parts of an expression that make texts nobody has judged."""

from __future__ import annotations

import ast

from radbundles.components.audit.made_text import Bound, MadeTexts, Texts
from radbundles.components.audit.parsing import Judged
from radbundles.components.audit.syntax import is_text
from radbundles.components.audit.texts import path_fault

JOIN = "join texts with + or os.path.join"
# Calls that look at what is in their argument; of a text that is its letters.
_LOOPS = ("dict", "enumerate", "frozenset", "list", "max", "min", "reversed", "set", "sorted", "tuple", "zip")
_PATHS = "name paths below a folder of the config"


class TextRules:
    """Judges texts in an expression.

    Args:
        judged: takes what is refused.
        made: tells what texts a part can be.
    """

    def __init__(self, judged: Judged, made: MadeTexts) -> None:
        self.judged, self.made = judged, made

    def constant(self, node: ast.Constant, *, joined: bool = False) -> None:
        """Judge what stands in quotes; ``joined``: to the right of another text."""
        if isinstance(node.value, bytes):
            self.judged.refuse("holds bytes")
        elif isinstance(node.value, str) and (fault := path_fault(node.value, joined=joined)):
            self.judged.refuse(f"holds {node.value!r}, which {fault}", _PATHS)

    def path(self, made: Texts) -> None:
        """Judge the texts that a part makes, as paths."""
        for text in made.known:
            if fault := path_fault(text):
                self.judged.refuse(f"makes {text!r}, which {fault}", _PATHS)
                return
        if made.other and made.known:
            self.judged.refuse("makes more texts than can be told", "make it shorter")

    def loop(self, node: ast.AST, bound: Bound) -> None:
        """Judge what is looped over."""
        whole = self.made.of(node, bound)
        self._component(whole)
        if whole.any:
            self._apart()

    def call(self, path: str | None, arguments: list[ast.expr], bound: Bound) -> None:
        """Judge a call that looks at what is in its arguments."""
        if path not in _LOOPS or (path in ("max", "min") and len(arguments) > 1):
            return
        for argument in arguments:
            starred = isinstance(argument, ast.Starred)
            self.loop(argument.value if isinstance(argument, ast.Starred) else argument, bound)
            # Pairs for a dict are looked into themselves, and so is what a star spreads out.
            if (starred or path == "dict") and self.made.items(argument, bound).any:
                self._apart()

    def taken(self, node: ast.Subscript, bound: Bound) -> None:
        """Judge what is taken out of something by a place; a text has none by name."""
        whole = self.made.of(node.value, bound)
        self._component(whole)
        if whole.any and not is_text(node.slice):
            self._apart()

    def bound(self, loop: ast.comprehension, bound: Bound) -> Texts:
        """Judge what a comprehension gives its names; return what they can be."""
        items = self.made.items(loop.iter, bound)
        if isinstance(loop.target, ast.Name) or items.free:
            return items
        if items.any:
            self._apart()
        return Texts(other=True)

    def binary(self, node: ast.BinOp, bound: Bound) -> None:
        """Judge a sum, product or rest."""
        left, right = self.made.of(node.left, bound), self.made.of(node.right, bound)
        if isinstance(node.op, (ast.Mod, ast.Mult)) and (left.any or right.any):
            self.judged.refuse("makes a text by % or *", JOIN)
        if isinstance(node.op, ast.Add):
            if (left.other and right.any) or (right.other and left.any):
                self.judged.refuse("joins a text to one that cannot be told", "use os.path.join")
            self.path(self.made.of(node, bound))

    def _component(self, whole: Texts) -> None:
        if whole.built:
            self.judged.refuse("takes items out of a component", "let another component read them")

    def _apart(self) -> None:
        self.judged.refuse("takes a text apart, and what it makes of it cannot be told", "write out the texts")
