# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V1: ``configs/logging.conf``, whose classes and arguments Python evaluates, and MONAI screens before."""

from __future__ import annotations

import ast
import configparser
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.verify.finding import Finding

_FILE = "configs/logging.conf"
_MODULES = {"logging": logging, "logging.handlers": logging.handlers}
_STREAMS = ("sys.stdout", "sys.stderr")
_PLAIN = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Load, ast.UnaryOp, ast.USub)


def check_logging_conf(folder: Path) -> Iterator[Finding]:
    """Yield what MONAI would refuse to apply: other classes than logging's own, arguments that are computed."""
    path = folder / _FILE
    if not path.is_file():
        return
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        message = f"the file cannot be read: {' '.join(str(error).split())}"
        yield Finding("V1", _FILE, None, None, message, "write it as logging.config.fileConfig reads it")
        return
    for section in parser.sections():
        for field in ("class", "args", "kwargs"):
            value = parser.get(section, field, fallback="").strip()
            if not value:
                continue
            key = f"{section}#{field}"
            if field == "class" and not _is_logging_class(value):
                mend = "name a handler or formatter of logging or logging.handlers"
                yield Finding("V1", _FILE, key, value, "this is no class of Python's logging", mend)
            if field != "class" and not _is_plain(value):
                mend = f"write plain values; of names only {' and '.join(_STREAMS)} are taken"
                yield Finding("V1", _FILE, key, value, "the arguments are computed, which MONAI refuses", mend)


def _is_logging_class(text: str) -> bool:
    module, _, name = text.rpartition(".")
    found = getattr(_MODULES.get(module or "logging"), name, None)
    return isinstance(found, type) and issubclass(found, (logging.Handler, logging.Formatter))


def _is_plain(text: str) -> bool:
    try:
        nodes = [ast.parse(text, mode="eval").body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _STREAMS:
            continue
        if not isinstance(node, _PLAIN):
            return False
        nodes.extend(ast.iter_child_nodes(node))  # type: ignore[arg-type]
    return True
