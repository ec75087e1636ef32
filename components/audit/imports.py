# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges the imports of configs, and says which name of an expression means which module."""

from __future__ import annotations

import ast

from radbundles.components.audit.executed import absolute
from radbundles.components.audit.parsing import Judged, parse
from radbundles.components.audit.policy import AuditPolicy


def bound_name(value: str) -> tuple[str, str] | None:
    """Return the name that an import of a config binds and the dotted path behind it; None if it is no import.

    MONAI takes any expression whose first statement imports for an import, wherever it stands, and imports the first
    name of it.

    Args:
        value: the text with "$".
    """
    try:
        tree = parse(absolute(value, ""), Judged())
    except ValueError:
        return None
    if tree is None or not tree.body or not isinstance(tree.body[0], (ast.Import, ast.ImportFrom)):
        return None
    statement = tree.body[0]
    first = statement.names[0]
    if isinstance(statement, ast.ImportFrom):
        return first.asname or first.name, f"{'.' * statement.level}{statement.module or ''}.{first.name}"
    return first.asname or first.name, first.name


def judge_import(value: str, ident: str, policy: AuditPolicy) -> Judged:
    """Judge an expression that ``bound_name`` takes for an import.

    Args:
        value: the text with "$".
        ident: where it stands.
        policy: what may be imported.
    """
    judged = Judged()
    tree = parse(absolute(value, ""), judged)
    bound = bound_name(value)
    if tree is None or bound is None:
        judged.refuse("is no import", "write import NAME")
        return judged
    name, path = bound
    judged.uses.append(f"import {path}")
    if len(tree.body) > 1 or len(getattr(tree.body[0], "names", ())) > 1:
        judged.refuse("imports more than one thing, of which MONAI takes the first", "give each its own line")
    if ident.replace("::", "#").lstrip("+").split("#")[0] != "imports":
        judged.refuse("imports outside of `imports`, and so hands a module to references", "move it into imports")
    if name in policy.words("builtins") | policy.words("types") or name.startswith("_"):
        judged.refuse(f"gives the name {name!r} a second meaning", "take another name")
    if path not in policy.imports and path not in policy.values:
        judged.refuse(f"imports {path!r}", f"do without it; if you trust it: --allow {path}")
    return judged
