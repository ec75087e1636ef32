# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What an audited bundle may name: exact names, from shipped lists and from the source of radbundles."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import radbundles


@dataclass(frozen=True)
class AuditPolicy:
    """Everything that is let through; what is not in one of these sets is refused.

    Attributes:
        targets: names that ``_target_`` may have, short ones of MONAI included.
        callables: those of them that may be handed on to be called, by ``_mode_: callable``.
        imports: modules that a config may import.
        calls: dotted names that an expression may call.
        values: dotted names that an expression may read.
        allow: exact names that the user adds: targets, calls, imports, values, or files of the bundle.
        lists: the shipped lists as they are.
    """

    targets: frozenset[str]
    callables: frozenset[str]
    imports: frozenset[str]
    calls: frozenset[str]
    values: frozenset[str]
    allow: frozenset[str]
    lists: Mapping[str, Any]

    def words(self, kind: str) -> frozenset[str]:
        """A list of names for expressions, such as ``"methods"``."""
        return frozenset(self.lists["expressions"][kind])


def audit_policy(allow: Sequence[str] = ()) -> AuditPolicy:
    """Join the shipped lists, the public names of radbundles and the names that the user adds."""
    lists, public = _shipped(), _public_names()
    added = frozenset(allow)
    expressions = lists["expressions"]
    return AuditPolicy(
        targets=public | _monai_names() | frozenset(lists["targets"]) | added,
        callables=frozenset(lists["callables"]) | added,
        imports=frozenset(expressions["imports"]) | added,
        calls=frozenset(expressions["calls"]) | added,
        values=frozenset(expressions["values"]) | added,
        allow=added,
        lists=lists,
    )


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    return _read("policy.json")


@lru_cache(maxsize=1)
def _monai_names() -> frozenset[str]:
    """Each class of the shipped list by its short name, by that of its package, and by that of its module."""
    names: set[str] = set()
    for package, modules in _read("monai_names.json")["packages"].items():
        for module, classes in modules.items():
            for one in classes:
                names |= {one, f"{package}.{one}", f"{package}.{module}.{one}"}
    return frozenset(names)


@lru_cache(maxsize=1)
def _public_names() -> frozenset[str]:
    rules = _shipped()["radbundles"]
    names = {f"{package}.{one}" for package, functions in rules["functions"].items() for one in functions}
    for package in rules["classes"]:
        names |= {f"{package}.{one}" for one in _exports(package) if one[:1].isupper()}
    return frozenset(names)


def _exports(package: str) -> set[str]:
    """Names that the ``__init__`` of a package takes from its own modules, read without importing it."""
    folder = Path(radbundles.__file__).parent.joinpath(*package.split(".")[1:])
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")
        for alias in node.names
    }


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))
    return content
