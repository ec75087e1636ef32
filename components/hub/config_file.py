# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads one config file of a bundle, whoever wrote it: bounded, without running anything, no key lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".json", ".yaml", ".yml")
# Ours have a thousand values, the largest of MONAI's model zoo a few thousand.
MAX_BYTES = 4 * 2**20
MAX_YAML_BYTES = 2**18  # its reader is a hundred times slower
MAX_DEPTH = 64
MAX_VALUES = 200_000
MAX_ID = 1000


class ConfigFileError(ValueError):
    """A config file cannot be read or merged; the message names the file, the place and the mend."""


@dataclass(frozen=True)
class ConfigFile:
    """One config file as it stands.

    Args:
        path: the file.
        name: its name without suffix, by which commands call it.
        content: its object.
        duplicates: ids of keys that the file gives more than once, of which readers keep the last.
    """

    path: Path
    name: str
    content: dict[str, Any]
    duplicates: tuple[str, ...] = ()


def read_config(path: str | Path) -> ConfigFile:
    """Read a JSON or YAML file.

    Raises:
        ConfigFileError: it is no file, too large, too deep, not UTF-8, not JSON or YAML, asks YAML for an object by a
            tag, or does not hold an object with text keys.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigFileError(f"{path}: configs are JSON or YAML: name the file .json, .yaml or .yml")
    try:
        if not path.is_file():
            raise ConfigFileError(f"{path}: there is no such file: name one of the configs that the bundle has")
        most = MAX_BYTES if path.suffix.lower() == ".json" else MAX_YAML_BYTES
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise ConfigFileError(f"{path} cannot be read: {error.strerror}: see to the permissions") from error
    if len(data) > most:
        raise ConfigFileError(f"{path} is larger than {most} bytes: keep data out of configs")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigFileError(f"{path}, line {line}: not UTF-8: save the file as UTF-8") from error
    repeated: list[str] = []
    try:
        content = (_read_json if path.suffix.lower() == ".json" else _read_yaml)(text, repeated)
    except json.JSONDecodeError as error:
        raise ConfigFileError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigFileError(f"{path}, line {line}: not plain YAML: {error.problem}") from error
    except RecursionError as error:
        raise ConfigFileError(f"{path} is nested too deep: {MAX_DEPTH} levels are read") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigFileError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigFileError(f"{path} holds a {type(content).__name__}: a config is an object of named values")
    for key in content:
        if not isinstance(key, str):
            raise ConfigFileError(f"{path}: key {key!r} is no text: put it in quotes")
    return ConfigFile(path, path.stem, content, tuple(repeated))


class _Pairs(dict[str, Any]):
    """An object as JSON gives it, which knows what it gives more than once."""

    repeated: tuple[str, ...] = ()


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    made = _Pairs(pairs)
    if len(made) < len(pairs):
        made.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return made


def _read_json(text: str, repeated: list[str]) -> Any:
    left = [MAX_VALUES]

    def plain(value: Any, prefix: str, depth: int) -> Any:
        _count(left, depth, prefix)
        if isinstance(value, _Pairs):
            repeated.extend(prefix + key for key in value.repeated)
            return {key: plain(item, f"{prefix}{key}#", depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item, f"{prefix}{place}#", depth + 1) for place, item in enumerate(value)]
        return value

    return plain(json.loads(text, object_pairs_hook=_pairs), "", 0)


def _read_yaml(text: str, repeated: list[str]) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        left = [MAX_VALUES]

        def look(node: Any, prefix: str, depth: int) -> None:
            # An alias is looked at wherever it stands: nine lines of aliases of aliases name a billion values.
            _count(left, depth, prefix)
            if isinstance(node, yaml.MappingNode):
                seen = set()
                for key, value in node.value:
                    name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
                    if name in seen:
                        repeated.append(prefix + name)
                    seen.add(name)
                    look(value, f"{prefix}{name}#", depth + 1)
            elif isinstance(node, yaml.SequenceNode):
                for place, item in enumerate(node.value):
                    look(item, f"{prefix}{place}#", depth + 1)

        look(root, "", 0)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _count(left: list[int], depth: int, prefix: str) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"it holds more than {MAX_VALUES} values: keep data out of configs")
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels: make it flatter")
    if len(prefix) > MAX_ID:
        raise ValueError(f"it has keys that add up to more than {MAX_ID} letters at {prefix[:40]}...: shorten them")


def parts(ident: str) -> list[str]:
    """Return the keys of an id, which are parted by "#" or "::"."""
    return ident.replace("::", "#").split("#")


def find(content: Any, ident: str) -> Any:
    """Return what stands at an id, as MONAI finds it.

    Raises:
        LookupError: there is nothing; the message is the first part of the id that is missing.
    """
    so_far: list[str] = []
    for key in parts(ident) if ident else ():
        so_far.append(key)
        try:
            content = content[int(key)] if isinstance(content, list) else content[key]
        except (LookupError, ValueError, TypeError):
            raise LookupError("#".join(so_far)) from None
    return content


def leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield id, last key and value of everything in ``content`` that holds nothing more, in the order of the file."""
    if isinstance(content, (Mapping, list)) and content:
        for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from leaves(value, f"{prefix}#{key}" if prefix else str(key))
    else:
        yield prefix, prefix.rpartition("#")[2], content
