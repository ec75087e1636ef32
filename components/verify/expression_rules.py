# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: whether expressions compile, and know every name that they use."""

from __future__ import annotations

import ast
import builtins
import difflib
import importlib
import symtable
import warnings
from collections.abc import Iterator

from radbundles.components.hub.bundle_config import REFERENCE, REFERENCE_NAME, Entry, expression_tree, walk
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.stacks import Stack
from radbundles.components.verify.targets import KNOWN_PACKAGES, is_standard

# monai.bundle.ConfigParser has these ready for expressions.
_READY = frozenset(("monai", "torch", "np", "numpy"))


def check_expressions(stack: Stack) -> Iterator[Finding]:
    """Yield expressions that do not compile, imports that give nothing, and names that nothing defines."""
    expressions: list[tuple[Entry, ast.Expression]] = []
    names = set(_READY)
    for entry in walk({key: value for key, value in stack.content.items() if key != "_meta_"}):
        if not isinstance(entry.value, str) or not entry.value.startswith("$"):
            continue
        try:
            tree = expression_tree(entry.value)
        except SyntaxError as error:
            place = f" at column {error.offset}" if error.offset else ""
            message = f"the expression does not compile: {error.msg}{place}"
            yield _finding(stack, entry, message, "mend the Python behind the $")
            continue
        if isinstance(tree, ast.Module):
            yield from _check_import(stack, entry, tree, names)
        else:
            expressions.append((entry, tree))
    for entry, tree in expressions:
        yield from _check_quotes(stack, entry, tree)
        for name in sorted(_free_names(tree) - names - vars(builtins).keys()):
            close = difflib.get_close_matches(name, names, n=1)
            mend = f"add '$import {name}' to imports"
            if close:
                mend = f"did you mean {close[0]!r}; or {mend}"
            yield _finding(stack, entry, f"the name {name!r} is not defined", mend)


def _check_import(stack: Stack, entry: Entry, tree: ast.Module, names: set[str]) -> Iterator[Finding]:
    statement = tree.body[0]
    assert isinstance(statement, (ast.Import, ast.ImportFrom))
    if len(tree.body) > 1 or len(statement.names) > 1:
        yield _finding(stack, entry, "MONAI imports the first name alone", "write an import a line")
    alias = statement.names[0]
    name = alias.asname or alias.name
    names.add(name)
    if isinstance(statement, ast.Import) and "." in name:
        message = f"MONAI calls this {name!r}, which no expression can spell"
        yield _finding(stack, entry, message, f"write '$import {name} as {name.rpartition('.')[2]}'")
    module = alias.name if isinstance(statement, ast.Import) else statement.module or ""
    package = module.partition(".")[0]
    if is_standard(package):
        return
    if package not in KNOWN_PACKAGES:
        message = f"the package {package!r} is none that bundles here build on"
        yield _finding(stack, entry, message, f"use one of {', '.join(sorted(KNOWN_PACKAGES))} or the standard library")
        return
    try:
        imported = importlib.import_module(module)
        if isinstance(statement, ast.ImportFrom) and not hasattr(imported, alias.name):
            importlib.import_module(f"{module}.{alias.name}")
    except Exception as error:  # of other people's modules, which may raise anything as they are imported
        message = f"this cannot be imported: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        yield _finding(stack, entry, message, "mend the name, or install what it needs")


def _check_quotes(stack: Stack, entry: Entry, tree: ast.Expression) -> Iterator[Finding]:
    inside = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    if any(REFERENCE_NAME in text for text in inside):
        message = "MONAI takes an @ for a reference within quotes, too"
        yield _finding(stack, entry, message, "write chr(64) for the sign, or join the text from its parts")
        return
    # What MONAI puts in place of a reference holds single quotes.
    code = REFERENCE.sub(lambda found: f"__local_refs['{found[1].replace('#', '::')}']", entry.value[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            compile(code, "config", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        message = "MONAI puts __local_refs['id'] in place of a reference, and its quotes end the text around it"
        yield _finding(stack, entry, message, "put the text in double quotes")


def _free_names(tree: ast.Expression) -> set[str]:
    names = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tables = [symtable.symtable(ast.unparse(tree), "config", "eval")]
    top = tables[0]
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        for symbol in table.get_symbols():
            bound = symbol.is_assigned() if table is top else not symbol.is_global()
            if symbol.is_referenced() and not bound:
                names.add(symbol.get_name())
    return {name for name in names if not name.startswith(REFERENCE_NAME)}


def _finding(stack: Stack, entry: Entry, message: str, mend: str) -> Finding:
    return Finding("V3", stack.file(entry.id), entry.id, entry.value, message, mend)
