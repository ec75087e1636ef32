# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges one expression of a config by its syntax tree: what is not known to be harmless is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from radbundles.components.audit.executed import LOOK_UP, executed_text, reference_ids
from radbundles.components.audit.made_path import dotted_name, looked_up, made_path_fault, readable
from radbundles.components.audit.policy import AuditPolicy
from radbundles.components.audit.texts import path_fault

# An expression of a bundle is a line; the parser of Python is not made for hostile megabytes.
MAX_LENGTH = 4000
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.UAdd, ast.USub, ast.Not, ast.And, ast.Or),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn),
)
_PREFLIGHT = ("radbundles", "require")
_WRITE_PLAINLY = "write it with the names and methods that the audit knows, or as a _target_"


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

    def refuse(self, message: str, mend: str = _WRITE_PLAINLY) -> None:
        """Note one fault, once."""
        if (message, mend) not in self.faults:
            self.faults.append((message, mend))


def judge_expression(
    value: str, policy: AuditPolicy, names: Mapping[str, str], texts: Mapping[str, tuple[str, ...]]
) -> Judged:
    """Judge an expression that is no import.

    Args:
        value: the text, with "$" and absolute ids.
        policy: what may be named.
        names: what the configs import, by the name they give it.
        texts: the plain texts that stand at an id (parted by "::") in one config or another.
    """
    judged = Judged()
    tree = parse(value, judged)
    if tree is None:
        return judged
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        judged.refuse("holds a statement", "write one expression")
        return judged
    expression = tree.body[0].value
    nodes = list(ast.walk(expression))
    places = sum(isinstance(node, ast.Name) and node.id == LOOK_UP for node in nodes)
    # The look-up itself is `__local_refs['id']`: its own text is the id, which never holds the name of the look-up.
    inside = any(isinstance(node, ast.Constant) and LOOK_UP in str(node.value) for node in nodes)
    if inside or places != len(reference_ids(value)):
        judged.refuse("names a reference within a text, where MONAI's replacement breaks the text up")
        return judged
    try:
        _Visit(judged, policy, names, texts).value(expression, frozenset())
    except RecursionError:
        judged.refuse("is nested too deep", "make it shorter")
    return judged


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


class _Visit:
    """Walks the tree; each method takes the names that lambdas and comprehensions around the node bind."""

    def __init__(
        self, judged: Judged, policy: AuditPolicy, names: Mapping[str, str], texts: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.judged, self.policy, self.names, self.texts = judged, policy, names, texts

    def value(self, node: ast.AST, bound: frozenset[str]) -> None:
        """Judge what is read as a value."""
        if isinstance(node, ast.Constant):
            self._constant(node)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            self._read(node, bound)
        elif isinstance(node, ast.Call):
            self._call(node, bound)
        elif isinstance(node, ast.Subscript):
            self._subscript(node, bound)
        elif isinstance(node, ast.Lambda):
            self._lambda(node, bound)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            self._comprehension(node, bound)
        elif isinstance(node, ast.BinOp):
            self._binary(node, bound)
        elif isinstance(node, (ast.JoinedStr, *_templates())):
            self.judged.refuse("is a formatted text", "join texts with + or os.path.join")
        elif isinstance(
            node,
            (ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Slice)
            + (ast.Starred,),
        ):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.Load, *_OPERATORS)):
                    continue
                self._operator_or_value(child, bound)
        else:
            self.judged.refuse(f"holds {type(node).__name__}, which no config needs")

    def _operator_or_value(self, node: ast.AST, bound: frozenset[str]) -> None:
        if isinstance(node, (ast.operator, ast.unaryop, ast.cmpop)):
            self.judged.refuse(f"uses the operator {type(node).__name__}")
        else:
            self.value(node, bound)

    def _constant(self, node: ast.Constant, *, joined: bool = False) -> None:
        if isinstance(node.value, bytes):
            self.judged.refuse("holds bytes")
        elif isinstance(node.value, str) and (fault := path_fault(node.value, joined=joined)):
            self.judged.refuse(f"holds {node.value!r}, which {fault}", "name paths below a folder of the config")

    def _read(self, node: ast.Name | ast.Attribute, bound: frozenset[str]) -> None:
        path = self._path(node, bound)
        if path is not None:
            self.judged.uses.append(path)
            if path not in self.policy.values and path not in self.policy.words("types"):
                self.judged.refuse(f"reads {path!r}", self._allow(path))
        elif isinstance(node, ast.Attribute):
            if not self._known(node.attr, "attributes"):
                self.judged.refuse(f"reads the attribute {node.attr!r}", self._allow(node.attr))
            self.value(node.value, bound)

    def _path(self, node: ast.AST, bound: frozenset[str]) -> str | None:
        return dotted_name(node, self.names, bound)

    def _call(self, node: ast.Call, bound: frozenset[str]) -> None:
        path = self._path(node.func, bound)
        if _is_preflight(node):
            self.judged.uses.append(".".join(_PREFLIGHT))
        elif path == "os.environ.get":
            self._environment(node.args[0] if node.args else None)
        elif path is not None:
            self.judged.uses.append(path)
            if path not in self.policy.calls and path not in self.policy.words("builtins"):
                self.judged.refuse(f"calls {path!r}", self._allow(path))
        elif isinstance(node.func, ast.Attribute):
            self.judged.uses.append(f".{node.func.attr}")
            if not self._known(node.func.attr, "methods"):
                self.judged.refuse(f"calls the method {node.func.attr!r}", self._allow(node.func.attr))
            self.value(node.func.value, bound)
        else:
            self.judged.refuse("calls what another expression gives", "name what is called as a _target_")
            self.value(node.func, bound)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if path == "os.path.join" and isinstance(argument, ast.Constant):
                self._part(argument)
            else:
                self.value(argument, bound)
        if path in ("os.path.join", "os.makedirs", "glob.glob"):
            self.judged.paths.append(readable(node))
            self._whole_path(node)

    def _part(self, node: ast.Constant) -> None:
        self._constant(node)
        if isinstance(node.value, str) and node.value.startswith(".") and node.value not in (".", "./"):
            if path_fault(f"x/{node.value.removeprefix('./')}"):
                self.judged.refuse(f"holds {node.value!r}, which is a hidden file", "name the file without a dot")

    def _environment(self, name: ast.AST | None) -> None:
        known = self.policy.words("environment")
        if not isinstance(name, ast.Constant) or name.value not in known | self.policy.allow:
            self.judged.refuse("reads the environment", f"only {', '.join(sorted(known))} are given to a bundle")
        else:
            self.judged.uses.append(f"os.environ[{name.value}]")

    def _subscript(self, node: ast.Subscript, bound: frozenset[str]) -> None:
        if (ident := looked_up(node)) is not None:
            if reason := reference_fault(ident):
                self.judged.refuse(*reason)
            return
        if self._path(node.value, bound) == "os.environ":
            self._environment(node.slice)
            return
        self.value(node.value, bound)
        self.value(node.slice, bound)

    def _lambda(self, node: ast.Lambda, bound: frozenset[str]) -> None:
        arguments = node.args
        for default in (*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)):
            self.value(default, bound)
        extra = (one for one in (arguments.vararg, arguments.kwarg) if one is not None)
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra)
        self.value(node.body, bound | self._bind(one.arg for one in every))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, bound: frozenset[str]
    ) -> None:
        for loop in node.generators:
            self.value(loop.iter, bound)
            targets = [one for one in ast.walk(loop.target) if not isinstance(one, (ast.Tuple, ast.List, ast.Store))]
            if loop.is_async or not all(isinstance(one, ast.Name) for one in targets):
                self.judged.refuse("loops over something that is no plain name")
            bound |= self._bind(one.id for one in targets if isinstance(one, ast.Name))
            for condition in loop.ifs:
                self.value(condition, bound)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.value(part, bound)

    def _bind(self, names: Iterator[str]) -> frozenset[str]:
        found = frozenset(names)
        known = frozenset(self.names) | self.policy.words("builtins") | {LOOK_UP}
        for name in sorted(found & known):
            self.judged.refuse(f"gives the name {name!r} a second meaning", "take another name")
        return found

    def _binary(self, node: ast.BinOp, bound: frozenset[str]) -> None:
        if not isinstance(node.op, _OPERATORS):
            self.judged.refuse(f"uses the operator {type(node.op).__name__}")
        sides = (node.left, node.right)
        if isinstance(node.op, (ast.Mod, ast.Mult)) and any(_is_text(side) for side in sides):
            self.judged.refuse("makes a text by % or *", "join texts with + or os.path.join")
        self.value(node.left, bound)
        if isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant) and not _is_text(node.left):
            self._constant(node.right, joined=True)
        else:
            self.value(node.right, bound)
        if isinstance(node.op, ast.Add):
            self._whole_path(node)

    def _whole_path(self, node: ast.AST) -> None:
        if fault := made_path_fault(node, self.names, self.texts):
            self.judged.refuse(fault, "name paths below a folder of the config")

    def _known(self, name: str, kind: str) -> bool:
        return name in self.policy.words(kind) or name in self.policy.allow

    def _allow(self, name: str) -> str:
        if name.startswith("_") or "._" in name:
            return _WRITE_PLAINLY
        return f"{_WRITE_PLAINLY}; if you trust it: --allow {name}"


def reference_fault(ident: str) -> tuple[str, str] | None:
    """Say why an id, parted by "::", may not be referred to; None if it may."""
    first = ident.split("::")[0]
    if first == "":
        return "refers to the whole config or is a product of matrices", "name the id"
    if first == "imports":
        return "refers to an import, which hands a whole module on", "name the id of a value"
    return None


def _templates() -> tuple[type[ast.AST], ...]:
    return tuple(found for name in ("TemplateStr",) if (found := getattr(ast, name, None)) is not None)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_preflight(node: ast.Call) -> bool:
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
        == [_PREFLIGHT[0]]
        and function.attr == _PREFLIGHT[1]
        and not node.keywords
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
    )
