# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3: the configs of a bundle, laid over one another as its commands do."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundle_config import ConfigFile, ConfigFileError, find, lay, read_config
from radbundles.components.verify.finding import Finding

# Files of configs that are no workflow.
_NO_WORKFLOW = ("metadata", "verify")
BASES = ("train", "inference")
_SUFFIXES = ("json", "yaml", "yml")
_NAMED = re.compile(r"configs/(\w+)\.(?:json|yaml|yml)")


@dataclass(frozen=True)
class Stack:
    """A config with those that it lies on, merged.

    Args:
        files: the configs, the later ones laid over the first.
        content: what MONAI makes of them, with the metadata as ``_meta_``.
        beneath: the same of the configs that the topmost one is laid over.
        faults: keys of the topmost config that could not be laid over the others, each with the reason and the mend.
    """

    files: tuple[ConfigFile, ...]
    content: dict[str, Any]
    beneath: dict[str, Any]
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def top(self) -> ConfigFile:
        """The config that is laid over the others."""
        return self.files[-1]

    @property
    def below(self) -> tuple[ConfigFile, ...]:
        """The configs that it is laid over; none for a workflow that stands by itself."""
        return self.files[:-1]

    def file(self, ident: str) -> str:
        """Name the config that says what stands at an id, the last one that does."""
        for config in reversed(self.files):
            for key in config.content:
                plain = key.replace("::", "#")
                own = plain.removeprefix("+")
                # "+key" adds to what the configs below have: what it adds must be looked for in it.
                if (ident == own or ident.startswith(f"{own}#")) and (own == plain or self._adds(config, key, ident)):
                    return file_name(config)
        return file_name(self.top)

    def _adds(self, config: ConfigFile, key: str, ident: str) -> bool:
        added = config.content[key]
        try:
            value = find(self.content, ident)
        except LookupError:
            return False
        rest = ident.removeprefix(key.replace("::", "#").removeprefix("+")).removeprefix("#")
        if isinstance(added, dict) and rest:
            return rest.partition("#")[0] in added
        return isinstance(added, list) and any(_holds(item, value) for item in added)


def _holds(item: Any, value: Any) -> bool:
    if item == value:
        return True
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return any(_holds(one, value) for one in inner)


def file_name(config: ConfigFile) -> str:
    """Name a config within its bundle."""
    return f"configs/{config.path.name}"


def read_stacks(folder: Path) -> tuple[list[Stack], list[Finding]]:
    """Read every config of a bundle, alone where it is a workflow, and else on those that its command line names.

    A config opens with its command (``about``), which says what it is laid over: ``configs/train.json`` where it names
    nothing before itself.

    Returns:
        The stacks, and what could not be read.
    """
    configs: dict[str, ConfigFile] = {}
    findings: list[Finding] = []
    paths = [path for suffix in _SUFFIXES for path in sorted((folder / "configs").glob(f"*.{suffix}"))]
    for path in paths:
        name = f"configs/{path.name}"
        if path.stem == "metadata":
            continue  # told by V2
        try:
            config = read_config(path)
        except ConfigFileError as error:
            findings.append(Finding("V3", name, None, None, str(error), "mend the file"))
            continue
        for key in config.duplicates:
            message = "the key stands there twice, and the last one counts"
            findings.append(Finding("V3", name, key, None, message, "take one out, or give it its own name"))
        if config.name not in _NO_WORKFLOW:
            configs.setdefault(config.name, config)
    metadata = _metadata(folder)
    return [_stack(configs, name, metadata) for name in _in_order(configs)], findings


def _in_order(configs: dict[str, ConfigFile]) -> Iterator[str]:
    yield from (name for name in BASES if name in configs)
    yield from (name for name in configs if name not in BASES)


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        return read_config(folder / "configs" / "metadata.json").content
    except ConfigFileError:
        return {}


def _stack(configs: dict[str, ConfigFile], name: str, metadata: dict[str, Any]) -> Stack:
    files = tuple(configs[below] for below in (*_below(configs, name), name))
    content: dict[str, Any] = {}
    beneath: dict[str, Any] = {}
    faults = []
    for config in files:
        if config is files[-1]:
            beneath = copy.deepcopy(content)
        for key, value in config.content.items():
            try:
                lay(content, key, copy.deepcopy(value), config)
            except ConfigFileError as error:
                if config is files[-1]:
                    faults.append((key, str(error).removeprefix(f"{config.path}: ")))
    return Stack(files, {"_meta_": metadata, **content}, beneath, tuple(faults))


def _below(configs: dict[str, ConfigFile], name: str) -> list[str]:
    if name in BASES:
        return []
    about = configs[name].content.get("about")
    for line in about if isinstance(about, list) else [about]:
        named = _NAMED.findall(line) if isinstance(line, str) and "--config_file" in line else []
        if name in named[1:]:
            return [other for other in named[: named.index(name)] if other in configs]
    return [base for base in BASES if base in configs][:1]
