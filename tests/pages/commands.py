# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What in a shell script cannot be right: commands of the project, runs of bundles, make targets, files it names."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import shutil
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.pages.json_code import json_faults
from tests.pages.parsers import LineError, parse_module, parse_radbundles
from tests.pages.python_code import python_faults
from tests.pages.runs import Place, check_monai_run, check_named_run, read_overrides
from tests.pages.shell import Command, Script

_OURS = re.compile(r"(?:bundles|components|docs|losses|networks|src|tests|transforms)/[\w./-]+")
_MODULE_OPTION = ("-m", "--module")


def shell_faults(text: str, place: Place) -> Iterator[tuple[int, str]]:
    """Yield line, from 1, and message of each fault."""
    faults: list[tuple[int, str]] = []

    def capture(inner: str, line: int) -> str:
        faults.extend((line - 1 + number, message) for number, message in shell_faults(inner, place))
        words = next(iter(Script(inner, lambda *_: "$")), Command(1, ("",))).words
        if words[:3] == ("radbundles", "list", "--path") and len(words) == 4:
            return str(place.repository / "bundles" / words[3])
        return f"$({inner})"

    for command in Script(text, capture):
        try:
            _check(command.words, place)
            _write(command, place)
        except LineError as error:
            faults.append((command.line, f"{' '.join(command.words[:3])}: {error}"))
        if command.document is not None and command.into is not None:
            check = {".json": json_faults, ".py": python_faults}.get(Path(command.into).suffix)
            found = check(command.document) if check else ()
            faults.extend((command.line + number, f"{command.into}: {message}") for number, message in found)
    yield from faults


def _write(command: Command, place: Place) -> None:
    """Make the files that configs are looked for in: a copy of a bundle, and files written out in the block."""
    if command.words[:2] == ("cp", "-r") and len(command.words) == 4:
        bundle = place.find_bundle(command.words[2])
        if bundle is not None:
            shutil.copytree(bundle, _inside(command.words[3], place), ignore=shutil.ignore_patterns("docs", "models"))
    elif command.words == ("cat",) and command.document is not None and command.into is not None:
        file = _inside(command.into, place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(command.document, encoding="utf-8")


def _inside(name: str, place: Place) -> Path:
    path = (place.folder / name).resolve()
    if not path.is_relative_to(place.folder.resolve()):
        raise LineError(f"{name} is not in the folder where the reader stands")
    return path


def _check(words: Sequence[str], place: Place) -> None:
    for word in words:
        if _OURS.fullmatch(word) and not (place.repository / word).exists():
            raise LineError(f"there is no {word}")
    program, rest = Path(words[0]).name, list(words[1:])
    if program == "radbundles":
        _check_radbundles(rest, place)
    elif program == "torchrun" or re.fullmatch(r"python[\d.]*", program):
        module = next((at for at, word in enumerate(rest) if word in _MODULE_OPTION), None)
        if module is not None:
            _check_module(rest[module + 1], rest[module + 2 :], place)
        elif rest[:1] == ["-c"]:
            for line, message in python_faults(rest[1]):
                raise LineError(f"line {line}: {message}")
    elif program == "make":
        _check_make(rest, place)
    elif [program, *rest[:1]] == ["pip", "install"]:
        _check_extras(rest)


def _check_module(module: str, words: list[str], place: Place) -> None:
    if module == "radbundles":
        _check_radbundles(words, place)
    elif module == "monai.bundle":
        _check_monai_bundle(words, place)
    elif module.partition(".")[0] == "radbundles":
        parse_module(module, words)


def _check_monai_bundle(words: list[str], place: Place) -> None:
    if words[:1] == ["run"]:
        check_monai_run(words[1:], place)
        return
    import monai.bundle

    name = words[0] if words else ""
    function = getattr(monai.bundle, name, None)
    if not inspect.isfunction(function):
        raise LineError(f"monai.bundle has no command {name!r}")
    _, given = read_overrides(words[1:])
    for option in given:
        if option not in inspect.signature(function).parameters:
            raise LineError(f"monai.bundle {name} has no option --{option}")


def _check_make(words: list[str], place: Place) -> None:
    makefile = (place.repository / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, assignment, _ = word.partition("=")
        if not re.search(rf"^{re.escape(name)} *{r'[:?]?=' if assignment else ':(?!=)'}", makefile, re.MULTILINE):
            raise LineError(f"the Makefile has no {'variable' if assignment else 'target'} {name}")


def _check_extras(words: list[str]) -> None:
    known = importlib.metadata.metadata("radbundles").get_all("Provides-Extra") or []
    for extra in re.findall(r"radbundles\[([^\]]+)\]", " ".join(words)):
        if unknown := set(extra.split(",")) - set(known):
            raise LineError(f"the package has no extra {', '.join(sorted(unknown))}")


def _check_radbundles(words: list[str], place: Place) -> None:
    command, given = parse_radbundles(words)
    named = [given.get("bundle"), *(given.get("bundles") or ()), given.get("path") if command == "list" else None]
    bundles = {name: place.find_bundle(name) for name in named if isinstance(name, str)}
    if command == "list" and None in bundles.values():
        raise LineError(f"there is no bundle {given['path']!r}: name one of {', '.join(place.our_bundles())}")
    bundle = bundles.get(given.get("bundle", ""))
    if command == "run":
        configs, overrides = read_overrides(given["rest"])
        if not configs:
            raise LineError("name the configs to run")
        if bundle is not None:
            check_named_run(bundle, configs, overrides)
        return
    if bundle is not None:
        overrides = dict(text.partition("=")[::2] for text in given.get("overrides") or ())
        check_named_run(bundle, ["train", *(name for name in given.get("configs") or () if name != "train")], overrides)
    if command == "data build":
        _check_build(given)
    elif command == "data check":
        from radbundles.components.data.check import check_datalist

        _check_choice("--images", [given["images"]], typing.get_args(typing.get_type_hints(check_datalist)["images"]))
    elif command == "verify":
        from radbundles.components.verify import CHECKS

        _check_choice("--check", given["checks"] or (), CHECKS)
    elif command == "export":
        from radbundles.components.export import FORMS

        _check_choice("--out", [given["out"].suffix], list(FORMS.values()))


def _check_build(given: dict[str, Any]) -> None:
    from radbundles.cli.data_command import _fractions, _layout_options, _mapping
    from radbundles.components.data.layouts import LAYOUTS
    from radbundles.components.data.layouts.csv_export import _is_field

    _check_choice("LAYOUT", [given["layout"]], LAYOUTS)
    try:
        _layout_options(given["layout"], given["options"] or [])
        fields = _mapping([entry for entry in given["mapping"] or () if not entry.endswith(".json")])
        if given["fractions"] is not None:
            _fractions(given["fractions"])
    except ValueError as error:
        raise LineError(str(error)) from None
    for field in fields:
        if not _is_field(field):
            raise LineError(f"--map {field}: there is no such field")


def _check_choice(option: str, values: Sequence[str], known: Any) -> None:
    for value in values:
        if value not in known and "$" not in value and value != option:  # LAYOUT stands for itself
            raise LineError(f"{option} {value}: it is one of {', '.join(known)}")
