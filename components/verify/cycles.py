# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: references that lead back to where they start, which MONAI finds only when it resolves them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from radbundles.components.hub.bundle_config import ConfigFileError, references, walk
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.stacks import Stack


def check_cycles(stack: Stack) -> Iterator[Finding]:
    """Yield each circle of references once, at one of its values."""
    texts: dict[str, str] = {}
    named: dict[str, tuple[str, ...]] = {}
    within: dict[str, list[str]] = defaultdict(list)  # id -> the values in it that refer to others
    for entry in walk({key: value for key, value in stack.content.items() if key != "_meta_"}):
        try:
            found = references(entry.value, entry.id) if isinstance(entry.value, str) else ()
        except ConfigFileError:
            continue  # told where references are checked
        # A value that names what it is a part of is told there, too.
        found = tuple(ident for ident in found if ident and not f"{entry.id}#".startswith(f"{ident}#"))
        if found:
            texts[entry.id], named[entry.id] = entry.value, found
            parts = entry.id.split("#")
            for end in range(1, len(parts) + 1):
                within["#".join(parts[:end])].append(entry.id)
    done: set[str] = set()
    for start in named:
        circle = _circle(start, named, within, done)
        if circle:
            message = f"the references go round in a circle: {' -> '.join((*circle, circle[0]))}"
            mend = "give one of them a value of its own"
            yield Finding("V3", stack.file(circle[0]), circle[0], texts[circle[0]], message, mend)


def _circle(
    start: str, named: dict[str, tuple[str, ...]], within: dict[str, list[str]], done: set[str]
) -> list[str] | None:
    """Follow the references from a value, depth first; what is ``done`` leads to no circle, or to one that was told."""
    if start in done:
        return None
    path: dict[str, Iterator[str]] = {start: _next(start, named, within)}
    while path:
        last = next(reversed(path))
        following = next(path[last], None)
        if following is None:
            del path[last]
            done.add(last)
        elif following in path:
            done.update(path)
            ids = list(path)
            return ids[ids.index(following) :]
        elif following not in done:
            path[following] = _next(following, named, within)
    return None


def _next(ident: str, named: dict[str, tuple[str, ...]], within: dict[str, list[str]]) -> Iterator[str]:
    return (other for reference in named[ident] for other in within.get(reference, ()))
