# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges a ``logging.conf``: Python evaluates the arguments of its handlers when it is read."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.texts import path_fault

MAX_BYTES = 65_536
_STREAMS = ("sys.stdout", "sys.stderr")
# No handler that sends records away, and none whose class MONAI would not let through.
_HANDLERS = ("StreamHandler", "NullHandler", "logging.StreamHandler", "logging.NullHandler")
_FILE_HANDLERS = tuple(
    f"{prefix}{name}"
    for prefix, names in (
        ("", ("FileHandler",)),
        ("logging.", ("FileHandler",)),
        ("handlers.", ("RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler")),
        ("logging.handlers.", ("RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler")),
    )
    for name in names
)
# What Python evaluates; from 3.12 on the defaults of a formatter, too.
_EVALUATED = ("class", "args", "kwargs", "defaults")
_FORMATTERS = ("logging.Formatter", "Formatter")


def audit_logging(path: Path, name: str, ledger: Ledger) -> None:
    """Judge a file of ``logging.config.fileConfig``."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        ledger.refuse(name, None, None, f"is larger than {MAX_BYTES} bytes", "make it shorter")
        return
    parser = configparser.RawConfigParser()
    try:
        # Readers differ in encodings and in what ends a line, so that a sign could hide a line from one of them.
        text = data.decode("ascii").replace("\r\n", "\n")
        if any(not (letter.isprintable() or letter in "\n\t") for letter in text):
            raise ValueError("a sign that cannot be printed")
        parser.read_string(text)
    except (configparser.Error, ValueError):
        message = "cannot be read as settings of the log in plain ASCII"
        ledger.refuse(name, None, None, message, "see the logging.conf of a bundle")
        return
    for section in parser.sections():
        _section(parser, section, name, ledger)
    for option in parser.defaults():
        if option in _EVALUATED:
            message = "stands among the defaults, from where it goes into each section"
            ledger.refuse(name, f"DEFAULT#{option}", parser.defaults()[option], message, "name it in its section")


def _section(parser: configparser.RawConfigParser, section: str, name: str, ledger: Ledger) -> None:
    for option in _EVALUATED:
        if "%" in (value := parser.get(section, option, fallback="")):
            message = "would be put together from other settings, and then evaluated"
            ledger.refuse(name, f"{section}#{option}", value, message, "write the value")
    kind = parser.get(section, "class", fallback="").strip()
    known = _FORMATTERS if section.startswith("formatter") else (*_HANDLERS, *_FILE_HANDLERS)
    if kind and kind not in known:
        message = "is no handler or formatter that stays on this machine"
        ledger.refuse(name, f"{section}#class", kind, message, "use logging.StreamHandler")
    for option in ("args", "kwargs", "defaults"):
        value = parser.get(section, option, fallback="").strip()
        if value and (fault := _fault(value, files=kind in _FILE_HANDLERS)):
            ledger.refuse(name, f"{section}#{option}", value, fault, "use plain values, sys.stdout or sys.stderr")


def _fault(value: str, *, files: bool) -> str | None:
    try:
        tree = ast.parse(value, mode="eval")
        parts = list(ast.walk(tree.body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "is no plain value"
    for node in parts:
        if isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.Constant, ast.Load)):
            continue
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _STREAMS:
            continue
        if isinstance(node, ast.Name) and node.id == "sys":
            continue
        return "would be evaluated as code"
    texts = [node.value for node in parts if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if files and not any(text.endswith((".log", ".txt")) for text in texts[:1]):
        return "writes to a file that is no .log or .txt"
    return next((f"holds a text that {fault}" for text in texts if (fault := path_fault(text))), None)
