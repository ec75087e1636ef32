# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: whether every ``_target_`` exists and takes the arguments that it is given."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from inspect import Parameter
from typing import Any

from radbundles.components.verify.finding import Finding
from radbundles.components.verify.stacks import Stack
from radbundles.components.verify.targets import TargetError, find_target, parameters

_RESERVED = ("_target_", "_mode_", "_disabled_", "_requires_", "_desc_")
_MODES = ("default", "callable")
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def check_targets(stack: Stack) -> Iterator[Finding]:
    """Yield components that MONAI would fail to instantiate, as far as names can tell."""
    for ident, component in _objects(stack.content):
        if ident.partition("#")[0] == "_meta_":
            continue
        yield from _check_reserved(stack, ident, component)
        target = component.get("_target_")
        if target is None or str(component.get("_disabled_", False)).strip().lower() == "true":
            continue
        yield from _check_component(stack, ident, component, target)


def _objects(content: Any, ident: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(content, Mapping):
        if ident:
            yield ident, content
        for key, value in content.items():
            yield from _objects(value, f"{ident}#{key}" if ident else str(key))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from _objects(value, f"{ident}#{place}")


def _check_reserved(stack: Stack, ident: str, component: Mapping[str, Any]) -> Iterator[Finding]:
    for key in component:
        if isinstance(key, str) and "_" in (key[:1], key[-1:]) and key not in _RESERVED:
            close = difflib.get_close_matches(key, _RESERVED, n=1, cutoff=0.8)
            if close:
                message = "MONAI does not know this key, and takes it for a value"
                yield _finding(stack, f"{ident}#{key}", component[key], message, f"did you mean {close[0]!r}")
    mode = component.get("_mode_", "default")
    if "_target_" in component and mode not in _MODES and not str(mode).startswith(("$", "@")):
        message = "this mode stops in the debugger" if mode == "debug" else "there is no such mode"
        yield _finding(stack, f"{ident}#_mode_", mode, message, "take it out, or write 'callable'")


def _check_component(stack: Stack, ident: str, component: Mapping[str, Any], target: Any) -> Iterator[Finding]:
    key = f"{ident}#_target_"
    if not isinstance(target, str):
        yield _finding(stack, key, None, "the target is no text", "name a class or function")
        return
    if target.startswith(("$", "@", "%")):
        return  # known only when it runs
    try:
        found = find_target(target)
    except TargetError as error:
        yield _finding(stack, key, target, error.message, error.mend)
        return
    takes = parameters(found)
    if takes is None:
        return
    given = {name for name in component if name not in _RESERVED}
    named = {name for name, parameter in takes.items() if parameter.kind in _BY_NAME}
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in takes.values()):
        for name in sorted(given - named):
            close = difflib.get_close_matches(name, named - given, n=1) or difflib.get_close_matches(name, named, n=1)
            mend = f"did you mean {close[0]!r}" if close else f"it takes {', '.join(sorted(named)) or 'none'}"
            yield _finding(stack, f"{ident}#{name}", component[name], f"{target} takes no argument {name!r}", mend)
    if component.get("_mode_", "default") != "default":
        return
    missing = [
        name
        for name, parameter in takes.items()
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        and (name not in given or parameter.kind is Parameter.POSITIONAL_ONLY)
    ]
    if missing:
        message = f"the call lacks {', '.join(map(repr, missing))}"
        yield _finding(stack, key, target, message, f"add {' and '.join(map(repr, missing))}")


def _finding(stack: Stack, ident: str, value: Any, message: str, mend: str) -> Finding:
    text = value if isinstance(value, str) else None if isinstance(value, (dict, list)) else str(value)
    return Finding("V3", stack.file(ident), ident, text, message, mend)
