# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: keys of overlays that MONAI takes without a word and that do nothing, or something else than was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from radbundles.components.hub.bundle_config import ConfigFileError, find, macro_parts, references, walk
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.stacks import Stack, file_name

# What MONAI and our commands read by name.
_READ_BY_NAME = frozenset(("about", "imports", "initialize", "run", "finalize", "_desc_", "_meta_"))


def check_overlay(stack: Stack) -> Iterator[Finding]:
    """Yield what is wrong with the keys of the topmost config."""
    file = file_name(stack.top)
    for key, reason in stack.faults:
        message, _, mend = reason.rpartition(": ")
        yield Finding("V3", file, key, None, message, mend)
    if not stack.below:
        return
    below = {key for config in stack.below for key in map(_top, config.content)}
    used = _used(stack)
    failed = {key for key, _ in stack.faults}
    for key, value in stack.top.content.items():
        top = _top(key)
        if top not in below and top not in used and top not in _READ_BY_NAME and key not in failed:
            close = difflib.get_close_matches(top, below, n=1)
            mend = f"did you mean {close[0]!r}" if close else "take it out, or refer to it"
            text = value if isinstance(value, str) else None
            message = "nothing reads this key: the configs below do not have it, and nothing refers to it"
            yield Finding("V3", file, key, text, message, mend)
        yield from _check_place(stack, file, key)


def _check_place(stack: Stack, file: str, key: str) -> Iterator[Finding]:
    above, _, last = key.replace("::", "#").rpartition("#")
    if not above or key.startswith("+"):
        return
    try:
        parent = find(stack.content, above)
    except LookupError:
        return
    if isinstance(parent, list):
        message = f"the key replaces entry {last} of a list, and takes another one as soon as the list changes"
        mend = f"add with '+{above}', or give the entry a name of its own in the config below and replace that"
        yield Finding("V3", file, key, None, message, mend)


def _used(stack: Stack) -> set[str]:
    """Top-level keys that anything in the merged configs refers to."""
    used: set[str] = set()
    for entry in walk(stack.content):
        if not isinstance(entry.value, str):
            continue
        try:
            named = list(references(entry.value, entry.id))
            if entry.kind == "macro":
                named.append(macro_parts(entry.value, entry.id)[1])
        except ConfigFileError:
            continue  # told where references are checked
        used.update(ident.partition("#")[0] for ident in named if ident.partition("#")[0] != entry.id)
    return used


def _top(key: str) -> str:
    return key.removeprefix("+").replace("::", "#").partition("#")[0]
