# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges one expression of a config by its syntax tree: what is not known to be harmless is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from radbundles.components.audit.arguments import argument_fault
from radbundles.components.audit.executed import LOOK_UP, reference_ids
from radbundles.components.audit.grammar import Grammar
from radbundles.components.audit.made_text import FREE, Bound, MadeTexts, Texts
from radbundles.components.audit.parsing import WRITE_PLAINLY, Judged, parse, reference_fault
from radbundles.components.audit.policy import AuditPolicy
from radbundles.components.audit.syntax import PREFLIGHT, dotted_name, is_preflight, is_text, looked_up, readable
from radbundles.components.audit.text_rules import JOIN, TextRules
from radbundles.components.audit.texts import path_fault

_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.UAdd, ast.USub, ast.Not, ast.And, ast.Or),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn),
)


def judge_expression(value: str, policy: AuditPolicy, made: MadeTexts) -> Judged:
    """Judge an expression that is no import.

    Args:
        value: the text, with "$" and absolute ids.
        policy: what may be named.
        made: what texts expressions can give; one for all of an audit, since it tells each id once.
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
        _Visit(judged, policy, made).value(expression, {})
        Grammar(judged.refuse, made.stored, made.names, policy.allow).judge(expression)
    except RecursionError:
        judged.refuse("is nested too deep", "make it shorter")
    return judged


class _Visit:
    """Walks the tree; each method takes the names that lambdas and comprehensions around the node bind."""

    def __init__(self, judged: Judged, policy: AuditPolicy, made: MadeTexts) -> None:
        self.judged, self.policy, self.names, self.made = judged, policy, made.names, made
        self.texts = TextRules(judged, made)

    def value(self, node: ast.AST, bound: Bound) -> None:
        """Judge what is read as a value."""
        if isinstance(node, ast.Constant):
            self.texts.constant(node)
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
        elif isinstance(node, ast.Dict):
            self._dict(node, bound)
        elif isinstance(node, ast.Starred):
            self.texts.loop(node.value, bound)
            self.value(node.value, bound)
        elif isinstance(node, (ast.JoinedStr, *_templates())):
            self.judged.refuse("is a formatted text", JOIN)
        elif isinstance(
            node,
            (ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.List, ast.Tuple, ast.Set, ast.Slice),
        ):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.Load, *_OPERATORS)):
                    continue
                self._operator_or_value(child, bound)
        else:
            self.judged.refuse(f"holds {type(node).__name__}, which no config needs")

    def _operator_or_value(self, node: ast.AST, bound: Bound) -> None:
        if isinstance(node, (ast.operator, ast.unaryop, ast.cmpop)):
            self.judged.refuse(f"uses the operator {type(node).__name__}")
        else:
            self.value(node, bound)

    def _read(self, node: ast.Name | ast.Attribute, bound: Bound) -> None:
        path = self._path(node, bound)
        if path is not None:
            self.judged.uses.append(path)
            if path not in self.policy.values and path not in self.policy.words("types"):
                self.judged.refuse(f"reads {path!r}", self._allow(path))
        elif isinstance(node, ast.Attribute):
            if not self._known(node.attr, "attributes"):
                self.judged.refuse(f"reads the attribute {node.attr!r}", self._allow(node.attr))
            self.value(node.value, bound)

    def _path(self, node: ast.AST, bound: Bound) -> str | None:
        return dotted_name(node, self.names, bound)

    def _call(self, node: ast.Call, bound: Bound) -> None:
        path = self._path(node.func, bound)
        if is_preflight(node):
            self.judged.uses.append(".".join(PREFLIGHT))
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
            ident = looked_up(node.func.value)
            if ident is not None and node.func.attr == "get" and node.args and is_text(node.args[0]):
                self._look_up(f"{ident}::{ast.literal_eval(node.args[0])}")
            else:
                self.value(node.func.value, bound)
        else:
            self.judged.refuse("calls what another expression gives", "name what is called as a _target_")
            self.value(node.func, bound)
        for argument in node.args:
            if path == "os.path.join" and isinstance(argument, ast.Constant):
                self._part(argument)
            else:
                self.value(argument, bound)
        for keyword in node.keywords:
            self._argument(keyword.arg, keyword.value)
            self.value(keyword.value, bound)
        self.texts.call(path, node.args, bound)
        if path in ("os.path.join", "os.makedirs", "glob.glob"):
            self.judged.paths.append(readable(node))
        if path == "os.path.join":
            self.texts.path(self.made.path(node.args, bound))
        if path == "torch.distributed.init_process_group":
            self._meeting(node)

    def _meeting(self, node: ast.Call) -> None:
        # Processes that meet unpickle what they send each other.
        if len(node.args) > 1 or any(one.arg not in ("backend", "timeout") for one in node.keywords):
            self.judged.refuse(
                "says where processes meet, which could be on a machine of others",
                "name the backend alone: torchrun says where",
            )

    def _part(self, node: ast.Constant) -> None:
        self.texts.constant(node)
        if isinstance(node.value, str) and node.value.startswith(".") and node.value not in (".", "./"):
            if path_fault(f"x/{node.value.removeprefix('./')}"):
                self.judged.refuse(f"holds {node.value!r}, which is a hidden file", "name the file without a dot")

    def _environment(self, name: ast.AST | None) -> None:
        known = self.policy.words("environment")
        if not isinstance(name, ast.Constant) or name.value not in known | self.policy.allow:
            self.judged.refuse("reads the environment", f"only {', '.join(sorted(known))} are given to a bundle")
        else:
            self.judged.uses.append(f"os.environ[{name.value}]")

    def _subscript(self, node: ast.Subscript, bound: Bound) -> None:
        if (ident := looked_up(node)) is not None:
            self._look_up(ident)
            return
        if self._path(node.value, bound) == "os.environ":
            self._environment(node.slice)
            return
        self.texts.taken(node, bound)
        self.value(node.value, bound)
        self.value(node.slice, bound)

    def _look_up(self, ident: str) -> None:
        if reason := reference_fault(ident) or self.made.stored.address_fault(ident):
            self.judged.refuse(*reason)

    def _dict(self, node: ast.Dict, bound: Bound) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                self._argument(key.value if isinstance(key, ast.Constant) else None, value)
                self.value(key, bound)
            self.value(value, bound)

    def _argument(self, name: object, node: ast.AST) -> None:
        """Judge a value that could become an argument of what is built."""
        if isinstance(name, str):
            plain = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
            if fault := argument_fault([name], plain, self.policy):
                self.judged.refuse(f"{name!r} {fault[0]}", fault[1])

    def _lambda(self, node: ast.Lambda, bound: Bound) -> None:
        arguments = node.args
        for default in (*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)):
            self.value(default, bound)
        extra = (one for one in (arguments.vararg, arguments.kwarg) if one is not None)
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra)
        self.value(node.body, self._bind(bound, (one.arg for one in every), FREE))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, bound: Bound) -> None:
        for loop in node.generators:
            self.texts.loop(loop.iter, bound)
            self.value(loop.iter, bound)
            targets = [one for one in ast.walk(loop.target) if not isinstance(one, (ast.Tuple, ast.List, ast.Store))]
            if loop.is_async or not all(isinstance(one, ast.Name) for one in targets):
                self.judged.refuse("loops over something that is no plain name")
            named = (one.id for one in targets if isinstance(one, ast.Name))
            bound = self._bind(bound, named, self.texts.bound(loop, bound))
            for condition in loop.ifs:
                self.value(condition, bound)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.value(part, bound)

    def _bind(self, bound: Bound, names: Iterable[str], texts: Texts) -> Bound:
        found = dict.fromkeys(names, texts)
        known = frozenset(self.names) | self.policy.words("builtins") | {LOOK_UP}
        for name in sorted(found.keys() & known):
            self.judged.refuse(f"gives the name {name!r} a second meaning", "take another name")
        return {**bound, **found}

    def _binary(self, node: ast.BinOp, bound: Bound) -> None:
        if not isinstance(node.op, _OPERATORS):
            self.judged.refuse(f"uses the operator {type(node.op).__name__}")
        self.texts.binary(node, bound)
        self.value(node.left, bound)
        if isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant) and not is_text(node.left):
            self.texts.constant(node.right, joined=True)
        else:
            self.value(node.right, bound)

    def _known(self, name: str, kind: str) -> bool:
        return name in self.policy.words(kind) or name in self.policy.allow

    def _allow(self, name: str) -> str:
        if name.startswith("_") or "._" in name:
            return WRITE_PLAINLY
        return f"{WRITE_PLAINLY}; if you trust it: --allow {name}"


def _templates() -> tuple[type[ast.AST], ...]:
    return tuple(found for name in ("TemplateStr",) if (found := getattr(ast, name, None)) is not None)
