# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Options of a layout as words of a command line: the keyword arguments of its reader."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def layout_options(read: Callable[..., Any]) -> dict[str, str]:
    """What a reader can be told on a command line: the values that each option takes, its default first."""
    found = {}
    for name, (kind, default) in _parameters(read).items():
        if kind is bool:
            values = ["true", "false"] if default else ["false", "true"]
        elif kind in (Path, str):
            values = ["PATH" if kind is Path else "TEXT"]
        else:
            values = sorted(typing.get_args(kind), key=lambda value: value != default)
        found[name] = "|".join(values)
    return found


def parse_options(layout: str, read: Callable[..., Any], words: Iterable[str]) -> dict[str, Any]:
    """Turn words such as ``blank=absent`` into keyword arguments of a reader.

    Args:
        layout: name of the layout, for messages.
        read: its reader; its keyword arguments of type bool, str, Path or Literal of texts are the options.
        words: ``NAME=VALUE``.

    Raises:
        ValueError: a word without ``=``, an option that the layout does not have or that is given twice, or a value
            that it does not take.
    """
    known = _parameters(read)
    options: dict[str, Any] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        name = name.replace("-", "_")
        if not equals:
            raise ValueError(f"an option must be NAME=VALUE, not {word!r}")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            listed = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"layout {layout!r} has no option {name!r}; {f'is it {near[0]!r}?' if near else listed}")
        if name in options:
            raise ValueError(f"the option {name!r} is given twice")
        options[name] = _value(name, known[name][0], value)
    return options


def _parameters(read: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    hints = typing.get_type_hints(read)
    found = {}
    for name, parameter in inspect.signature(read).parameters.items():
        kind = hints[name]
        if type(None) in typing.get_args(kind):
            (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
        if parameter.kind is parameter.KEYWORD_ONLY and (
            kind in (bool, str, Path) or typing.get_origin(kind) is Literal  # the others have options of their own
        ):
            found[name] = (kind, parameter.default)
    return found


def _value(name: str, kind: Any, value: str) -> Any:
    if kind in (Path, str):
        return kind(value)
    values = _TRUTH if kind is bool else {choice: choice for choice in typing.get_args(kind)}
    if value.lower() not in values and value not in values:
        raise ValueError(f"the option {name!r} takes {', '.join(values)}, not {value!r}")
    return values[value] if value in values else values[value.lower()]
