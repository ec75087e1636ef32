# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads the instructions of a pickle without running them, and holds them against those that weights need.

The yardstick is ``torch.load(weights_only=True)``: its opcodes and its globals, each by exact name.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_INSTRUCTIONS = 2_000_000
# Opcodes that push a text; what STACK_GLOBAL takes are the last two of them.
_TEXTS = frozenset("SHORT_BINUNICODE BINUNICODE BINUNICODE8 UNICODE STRING BINSTRING SHORT_BINSTRING".split())
_PUTS = frozenset("PUT BINPUT LONG_BINPUT".split())
_GETS = frozenset("GET BINGET LONG_BINGET".split())


@dataclass(frozen=True)
class PickleContent:
    """What a pickle would do.

    Attributes:
        globals: names that it would import, in order.
        opcodes: names of its instructions.
        fault: why it could not be read to its end; None if it could.
    """

    globals: tuple[str, ...]
    opcodes: frozenset[str]
    fault: str | None = None


def read_pickle(stream: BinaryIO) -> PickleContent:
    """Read one pickle from a stream, which then stands behind it."""
    found: dict[str, None] = {}
    opcodes: set[str] = set()
    texts: list[str] = []
    memo: dict[Any, str] = {}
    fault = None
    last: str | None = None
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            opcodes.add(name)
            if count >= MAX_INSTRUCTIONS:
                fault = f"it has more than {MAX_INSTRUCTIONS} instructions"
                break
            if name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                found.setdefault(f"{module}.{attribute}")
            elif name == "STACK_GLOBAL":
                found.setdefault(".".join(texts[-2:]) if len(texts) > 1 else "(computed)")
            elif name in ("EXT1", "EXT2", "EXT4"):
                found.setdefault("(from the registry of extensions)")
            if name in _TEXTS:
                last = argument if isinstance(argument, str) else repr(argument)
                texts = [*texts[-1:], last]
            elif name in _GETS and argument in memo:
                texts = [*texts[-1:], memo[argument]]
            elif name in _PUTS and last is not None:
                memo[argument] = last
            elif name == "MEMOIZE":
                memo[len(memo)] = last or ""
            if name not in _TEXTS | _PUTS | {"MEMOIZE"}:
                last = None
    except (ValueError, OverflowError, UnicodeError, IndexError, MemoryError) as error:
        fault = f"it is damaged: {str(error)[:80]}"
    except Exception as error:  # what a hostile file makes the reader of the standard library raise is not documented
        fault = f"it cannot be read: {type(error).__name__}"
    return PickleContent(tuple(found), frozenset(opcodes), fault)


def pickle_faults(content: PickleContent, lists: Mapping[str, Any], allow: frozenset[str]) -> list[str]:
    """Say why ``torch.load(weights_only=True)`` would not read a pickle, or why it must not be read.

    Args:
        content: what ``read_pickle`` gave.
        lists: the shipped lists of the policy.
        allow: globals that the user adds.
    """
    known = {*lists["pickle"]["globals"], *lists["pickle"]["records"], *allow}
    faults = [f"would import {name}" for name in content.globals if name not in known]
    others = sorted(content.opcodes - set(lists["pickle"]["opcodes"]))
    if others:
        faults.append(f"has instructions that weights do not need: {', '.join(others)}")
    if content.fault:
        faults.append(content.fault)
    return faults


def hides_pickle(data: bytes) -> bool:
    """Whether a file of another kind is a pickle that would import something; also one of text, the oldest form."""
    content = read_pickle(io.BytesIO(data))
    return content.fault is None and bool(content.globals)
