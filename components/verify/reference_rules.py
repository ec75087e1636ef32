# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: whether every reference and macro of the configs leads somewhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundle_config import (
    ConfigFileError,
    Entry,
    find,
    macro_parts,
    read_config,
    references,
    walk,
)
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.stacks import Stack, file_name

_COMMENTS = ("about", "_desc_")


def check_references(stack: Stack, folder: Path) -> Iterator[Finding]:
    """Yield references to ids that the merged configs do not have, and what looks like one and is plain text."""
    for entry in walk({key: value for key, value in stack.content.items() if key != "_meta_"}):
        if not isinstance(entry.value, str):
            continue
        try:
            if entry.kind == "macro":
                yield from _check_macro(stack, entry, folder)
            for ident in references(entry.value, entry.id):
                yield from _check_reference(stack, entry, ident)
        except ConfigFileError as error:
            message, _, mend = str(error).removeprefix(f"{entry.id}: ").rpartition(": ")
            yield _finding(stack, entry, message, mend)
        if entry.kind == "text" and entry.value.startswith("@") and not _is_comment(entry):
            message = "MONAI takes this for plain text, since it is not only an id"
            yield _finding(stack, entry, message, f"write '${entry.value}' to have it evaluated")


def _check_reference(stack: Stack, entry: Entry, ident: str) -> Iterator[Finding]:
    if not ident:
        message = "an @ without a name is a reference to nothing; MONAI has no product of matrices"
        yield _finding(stack, entry, message, "name an id, or call torch.matmul")
        return
    if f"{entry.id}#".startswith(f"{ident}#"):
        yield _finding(stack, entry, "the value refers to itself, or to what it is a part of", "name another id")
        return
    try:
        find(stack.content, ident)
    except LookupError as error:
        message = f"there is no {str(error)!r}" + (f" for '@{ident}'" if str(error) != ident else "")
        if _has(stack.beneath, ident):
            message = f"{message} once {file_name(stack.top)} is laid over it"
        yield _finding(stack, entry, message, _nearest(stack.content, str(error)))


def _has(content: Any, ident: str) -> bool:
    try:
        find(content, ident)
    except LookupError:
        return False
    return True


def _check_macro(stack: Stack, entry: Entry, folder: Path) -> Iterator[Finding]:
    file, ident = macro_parts(entry.value, entry.id)
    content: Any = stack.content
    if file:
        # MONAI takes the path from the folder that the run is started in, which is the bundle's by its commands.
        path = folder / file
        try:
            content = read_config(path).content
        except ConfigFileError as error:
            yield _finding(stack, entry, f"the file of the macro cannot be read: {error}", "name a file of the bundle")
            return
    try:
        find(content, ident)
    except LookupError as error:
        yield _finding(stack, entry, f"there is no {str(error)!r} to copy", _nearest(content, str(error)))


def _nearest(content: Any, ident: str) -> str:
    above, _, last = ident.rpartition("#")
    parent = find(content, above)
    if isinstance(parent, list):
        return f"{above} has entries 0 to {len(parent) - 1}" if parent else f"{above} is empty"
    close = difflib.get_close_matches(last, list(parent), n=1) if isinstance(parent, dict) else []
    prefix = f"{above}#" if above else ""
    return f"did you mean '@{prefix}{close[0]}'" if close else f"mend the name, or define {ident!r}"


def _is_comment(entry: Entry) -> bool:
    return any(part in _COMMENTS for part in entry.id.split("#"))


def _finding(stack: Stack, entry: Entry, message: str, mend: str) -> Finding:
    return Finding("V3", stack.file(entry.id), entry.id, entry.value, message, mend)
