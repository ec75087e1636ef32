# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The preflight of configs: ``radbundles.require``, which tells users early that another version is needed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundle_config import ConfigFileError, expression_tree, read_config

_TARGET = "radbundles.require"


@dataclass(frozen=True)
class Preflight:
    """One preflight: file within the bundle, id of the specifier, and the specifier."""

    file: str
    key: str
    spec: str


def preflights(folder: Path) -> list[Preflight]:
    """Return the preflights of a bundle's configs."""
    found = []
    for path in sorted((folder / "configs").glob("*")):
        if path.suffix not in (".json", ".yaml", ".yml") or path.stem in ("metadata", "verify"):
            continue
        try:
            steps = read_config(path).content.get("initialize")
        except ConfigFileError:
            continue
        for place, step in enumerate(steps if isinstance(steps, list) else ()):
            spec = required_spec(step)
            if spec is not None:
                key = f"initialize#{place}" + ("#spec" if isinstance(step, Mapping) else "")
                found.append(Preflight(f"configs/{path.name}", key, spec))
    return found


def required_spec(step: Any) -> str | None:
    """Return what a step of ``initialize`` requires of radbundles, or None if it is something else.

    Args:
        step: an object with ``_target_`` ``radbundles.require``, or an expression that calls it.
    """
    if isinstance(step, Mapping):
        spec = step.get("spec")
        return spec if step.get("_target_") == _TARGET and isinstance(spec, str) else None
    if not isinstance(step, str) or not step.startswith("$"):
        return None
    try:
        tree = expression_tree(step).body
    except SyntaxError:
        return None
    if not isinstance(tree, ast.Call) or ast.unparse(tree.func) not in (_TARGET, "__import__('radbundles').require"):
        return None
    given = [*tree.args, *(keyword.value for keyword in tree.keywords)]
    value = given[0].value if len(given) == 1 and isinstance(given[0], ast.Constant) else None
    return value if isinstance(value, str) else None
