# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Command lines of the project, parsed by its own parsers; what they would start is not started."""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import importlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import typer


class LineError(ValueError):
    """A command line that the program would refuse."""


def parse_radbundles(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Parse what stands behind ``radbundles``.

    Returns:
        The command with its group ("data build"), and the arguments of its function; ``rest`` are words that the
        parser leaves to it.

    Raises:
        LineError: the command, an option or an argument is wrong.
    """
    try:
        found = _application().main(list(words), "radbundles", standalone_mode=False)
    except typer.BadParameter.__base__ as error:  # type: ignore[misc]  # UsageError, which typer does not re-export
        # A value that the shell would fill in is of no type yet.
        if type(error) is typer.BadParameter and any("$" in word for word in words):
            return "", {}
        raise LineError(" ".join(error.format_message().split())) from None
    return found if isinstance(found, tuple) else ("", {})  # only printed something


@functools.cache
def _application() -> Any:
    from radbundles.cli import COMMANDS
    from radbundles.cli.app import app

    for name in COMMANDS:
        importlib.import_module(f"radbundles.cli.{name}_command")
    return typer.main.get_command(_recording(app, ""))


def _recording(app: typer.Typer, group: str) -> typer.Typer:
    """Copy an application; its commands return what they were called with."""
    copied = copy.copy(app)
    copied.registered_commands = [copy.copy(command) for command in app.registered_commands]
    for command in copied.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        command.callback = _recorder(f"{group}{name}", command.callback)
    copied.registered_groups = [copy.copy(inner) for inner in app.registered_groups]
    for inner in copied.registered_groups:
        assert inner.typer_instance is not None
        inner.typer_instance = _recording(inner.typer_instance, f"{inner.name} ")
    return copied


def _recorder(name: str, callback: Callable[..., Any]) -> Callable[..., tuple[str, dict[str, Any]]]:
    @functools.wraps(callback)
    def record(**given: Any) -> tuple[str, dict[str, Any]]:
        if "context" in given:
            given["rest"] = given.pop("context").args
        return name, given

    return record


class _Built(Exception):  # noqa: N818  # not an error
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parse_module(module: str, words: Sequence[str]) -> None:
    """Parse what stands behind ``python -m MODULE``, for modules whose ``main`` has a parser of argparse.

    Raises:
        LineError: there is no such module, or it would refuse an argument.
    """
    parser = _module_parser(module)
    if parser is None:
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(list(words))
    except SystemExit as error:
        if error.code:
            raise LineError(said.getvalue().strip().splitlines()[-1]) from None


@functools.cache
def _module_parser(module: str) -> argparse.ArgumentParser | None:
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise LineError(f"python -m finds no module {module}")
    imported = importlib.import_module(spec.name)
    if not (hasattr(imported, "argparse") and hasattr(imported, "main")):
        return None

    def built(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise _Built(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", built):
        try:
            imported.main()
        except _Built as found:
            return found.parser
    raise AssertionError(f"{module} has run without reading its arguments")
