# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges what the configs of a bundle say, all of them together, since any of them can be laid over any other."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from radbundles.components.audit.arguments import argument_fault
from radbundles.components.audit.executed import absolute, canonical, is_reference, is_relative, reference_ids
from radbundles.components.audit.expression import judge_expression
from radbundles.components.audit.handed_on import HandedOn
from radbundles.components.audit.imports import bound_name, judge_import
from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.made_text import MadeTexts
from radbundles.components.audit.parsing import MAX_LENGTH, Judged, reference_fault
from radbundles.components.audit.policy import AuditPolicy
from radbundles.components.audit.stored import METADATA, StoredValues
from radbundles.components.audit.texts import CONTROLS, key_fault, looks_like_path, path_fault
from radbundles.components.hub.bundle_config import macro_parts
from radbundles.components.hub.config_file import ConfigFile, leaves

# Of all expressions together; those of a bundle are some thousand.
MAX_LETTERS = 100_000
_PLAIN_KEY = re.compile(r"\w*")
# One file at most and one ending in it, so that there is one way to part it; MONAI takes the longest that it can.
_MACRO = re.compile(r"%(?:(?:\./)?(?:[\w-]+/)*[\w-]+\.(?:json|yaml|yml)(?:(?=#|::)|$))?(?:(?:#|::)*[\w+]+)*", re.ASCII)
_TARGET_MEND = "name a public class or function of radbundles, MONAI or torch"


class Entry(NamedTuple):
    """A value of a config and its id."""

    id: str
    value: Any


class ConfigAudit:
    """Judges the configs of one bundle.

    Args:
        configs: the files by their path within the bundle.
        policy: what may be named.
        ledger: where everything goes.
        own: names of the bundle's top-level folders and Python files, which its configs could name.
    """

    def __init__(
        self, configs: Mapping[str, ConfigFile], policy: AuditPolicy, ledger: Ledger, own: frozenset[str]
    ) -> None:
        self.configs, self.policy, self.ledger, self.own = configs, policy, ledger, own
        self.entries = {
            file: tuple(Entry(ident, value) for ident, _, value in leaves(config.content))
            for file, config in configs.items()
        }
        expressions = (str(entry.value) for _, entry in self._every() if str(entry.value).startswith("$"))
        letters = sum(len(one) for one in expressions if len(one) <= MAX_LENGTH)  # longer ones are not looked into
        if letters > MAX_LETTERS:
            message = f"hold expressions of more than {MAX_LETTERS} letters in all, and are not looked into"
            ledger.refuse("configs", None, None, message, "keep to what a workflow needs")
            self.entries = dict.fromkeys(configs, ())
        self.names = self._imported_names()
        self.stored = StoredValues(
            (f"{METADATA}::{entry.id}" if _is_metadata(file) else entry.id, entry.value)
            for file, entry in self._every()
        )
        self.made = MadeTexts(self.stored, self.names)
        modes = (entry.value for _, entry in self._every() if entry.id.endswith("_mode_"))
        self.handed = HandedOn(policy, ledger, self.stored, any_callable="callable" in modes)
        self.plain_keys = all(
            _PLAIN_KEY.fullmatch(key)
            for file, entries in self.entries.items()
            if not _is_metadata(file)
            for entry in entries
            for key in _keys(entry.id)
        )

    def run(self) -> None:
        """Judge every value of every config."""
        for file, config in self.configs.items():
            for key in config.duplicates:
                message = "is given twice, and readers differ in which they take"
                self.ledger.refuse(file, key, None, message, "keep one")
            for key, value in config.content.items():
                self.handed.overlay(file, key, value)
            for entry in self.entries[file]:
                try:
                    self._entry(file, entry)
                except Exception as error:  # what cannot be judged is refused, and the rest is judged all the same
                    message = f"cannot be judged: {type(error).__name__}"
                    self.ledger.refuse(file, entry.id, str(entry.value), message, "write it more plainly")

    def _imported_names(self) -> dict[str, str]:
        names = dict(self.policy.lists["expressions"]["default_names"])
        for file, entry in self._every():
            if isinstance(entry.value, str) and entry.value.startswith("$") and (bound := bound_name(entry.value)):
                name, path = bound
                if names.setdefault(name, path) != path:
                    message = f"imports {path!r} as {name!r}, which is {names[name]!r} elsewhere"
                    self.ledger.refuse(file, entry.id, entry.value, message, "take another name")
        return names

    def _every(self) -> Iterator[tuple[str, Entry]]:
        for file, entries in self.entries.items():
            for entry in entries:
                yield file, entry

    def _entry(self, file: str, entry: Entry) -> None:
        keys, value = _keys(entry.id), entry.value
        self._special_keys(file, entry, keys)
        if isinstance(value, str) and value.startswith(("$", "%", "@")) and not value.isprintable():
            message = "has signs that cannot be printed, which readers of it take in different ways"
            self.ledger.refuse(file, entry.id, value, message, "leave them out")
        elif isinstance(value, str) and CONTROLS.search(value) or _is_metadata(file) and not entry.id.isprintable():
            message = "has signs that a terminal would obey, or that turn the direction of reading"
            self.ledger.refuse(file, entry.id, str(value), message, "leave them out")
        if not isinstance(value, str):
            if not isinstance(value, (bool, int, float, dict, list, date, type(None))):
                message = f"is a {type(value).__name__}, which JSON does not have"
                self.ledger.refuse(file, entry.id, str(value), message, "write a list, an object or a text")
            return
        if is_relative(value) and len(value) > MAX_LENGTH:
            message = f"has a relative id in more than {MAX_LENGTH} characters"
            self.ledger.refuse(file, entry.id, value, message, "make it shorter")
            return
        if is_relative(value) and not self.plain_keys:
            message = "has a relative id, which takes the text of the keys around it, and some are no plain names"
            self.ledger.refuse(file, entry.id, value, message, "name the id in full")
        try:
            resolved = absolute(value, entry.id)
        except ValueError as error:
            self.ledger.refuse(file, entry.id, value, str(error), "name the id in full")
            return
        if value.startswith("$"):
            self._expression(file, entry, resolved)
        elif value.startswith("%"):
            self._macro(file, entry)
        elif is_reference(resolved):
            for ident in reference_ids(resolved):
                if fault := reference_fault(ident) or self.stored.address_fault(ident):
                    self.ledger.refuse(file, entry.id, value, *fault)
        else:
            self._text(file, entry)

    def _special_keys(self, file: str, entry: Entry, keys: list[str]) -> None:
        last, value = keys[-1], entry.value
        if "_target_" in keys[:-1]:
            self._computed(file, entry, "holds an object instead of a name")
        elif last == "_target_":
            self._target(file, entry)
        elif last == "_mode_":
            self.handed.mode(file, entry.id, entry.value)
        elif fault := argument_fault(keys, value, self.policy):
            self.ledger.refuse(file, entry.id, str(value), *fault)
        if not _is_metadata(file):
            for strange in filter(None, map(key_fault, keys)):
                self.ledger.refuse(file, entry.id, None, f"has a key that {strange}", "name it plainly")

    def _target(self, file: str, entry: Entry) -> None:
        value = entry.value
        if not isinstance(value, str) or not re.fullmatch(r"\w+(\.\w+)*", value):
            self._computed(file, entry, "is computed or no dotted name")
            return
        origin = self._origin(value)
        self.ledger.target(origin, value)
        if value not in self.policy.targets:
            why = {
                "of the bundle": "is code of the bundle",
                "standard library": "is a name of the standard library",
            }.get(origin, "is not among the names that the audit knows")
            mend = f"{_TARGET_MEND}; if you trust it: --allow {value}"
            self.ledger.refuse(file, entry.id, value, why, mend)

    def _computed(self, file: str, entry: Entry, why: str) -> None:
        self.ledger.target("computed", str(entry.value))
        self.ledger.refuse(file, entry.id, str(entry.value), f"as a _target_ it {why}", _TARGET_MEND)

    def _origin(self, target: str) -> str:
        first, _, rest = target.partition(".")
        if first in ("radbundles", "monai", "torch"):
            return first
        if first in self.own:
            return "of the bundle"
        if not rest:
            return "standard library" if hasattr(builtins, first) else "monai"
        return "standard library" if first in sys.stdlib_module_names else "third party"

    def _expression(self, file: str, entry: Entry, resolved: str) -> None:
        if _is_metadata(file):
            message = "is an expression: metadata are plain values, and MONAI would evaluate it"
            self.ledger.refuse(file, entry.id, entry.value, message, "write the value")
        if bound_name(entry.value):
            judged = judge_import(entry.value, entry.id, self.policy)
        else:
            judged = judge_expression(resolved, self.policy, self.made)
        self.ledger.expression(f"{file}: {entry.id}", judged.uses)
        for path in judged.paths:
            self.ledger.path(path, f"{file}: {entry.id}")
        self._report(file, entry, judged)

    def _report(self, file: str, entry: Entry, judged: Judged) -> None:
        for message, mend in judged.faults:
            self.ledger.refuse(file, entry.id, entry.value, message, mend)

    def _macro(self, file: str, entry: Entry) -> None:
        try:
            if not _MACRO.fullmatch(entry.value):
                raise ValueError("is no plain macro, in which MONAI could see another file")
            path, ident = macro_parts(entry.value, entry.id)
        except ValueError as error:
            self.ledger.refuse(file, entry.id, entry.value, str(error), "name it as %configs/NAME.json#id")
            return
        if path:
            self.ledger.path(path, f"{file}: {entry.id}")
        if path and (path_fault(path) or path.removeprefix("./") not in self.configs):
            message = "copies from a file that is no config of this bundle"
            self.ledger.refuse(file, entry.id, entry.value, message, "name one as configs/NAME.json")
        ident = canonical(ident)
        if path and _is_metadata(path):
            ident = f"{METADATA}::{ident}" if ident else ident
        if fault := reference_fault(ident) or self.stored.address_fault(ident):
            self.ledger.refuse(file, entry.id, entry.value, *fault)

    def _text(self, file: str, entry: Entry) -> None:
        value = entry.value
        if looks_like_path(value):
            self.ledger.path(value, f"{file}: {entry.id}")
        if _is_metadata(file) and re.match(r"https?://", value):
            return
        if fault := path_fault(value):
            self.ledger.refuse(file, entry.id, value, fault, "name paths below a folder of the config")


def _is_metadata(file: str) -> bool:
    return Path(file).stem == "metadata"


def _keys(ident: str) -> list[str]:
    return canonical(ident).lstrip("+").split("::")
