# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Classes of a label vector, the names that data sets have for them, and the algebra from labels to codes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = ("unknown", "absent")
UNCERTAIN = ("policy", "unknown")
_FOLDER = Path(__file__).parent / "label_tables"
_CACHED = 2**14
_UNKNOWN = 2  # beside 1 present, 0 absent and -1 uncertain
_CODES = np.array([-1, 1, 0, 0], dtype=np.int8)  # of 0, 1, 2 and, from the end, -1
_RANK = {0: 0, -1: 1, 1: 2}
_TABLE_KEYS = {"name", "source", "entity_lists", "classes", "no_finding", "supports"}
_CLASS_KEYS = {"name", "entities", "terms", "aliases", "parts", "phrase", "uncertain"}


class LabelTable:
    """The classes of a label vector; the place of a class in ``names`` is its index.

    Source: DCXFM (official label preparation). Its three steps, with unknown labels told apart from absent ones:

    1. Uncertain becomes what the table says for the class (in ``chexpert``: present for Atelectasis, Edema and Pleural
       Effusion, absent for Cardiomegaly and Consolidation), or stays uncertain.
    2. Of an image, "no finding" makes all classes but the supports absent; then "no finding" is found anew: absent if
       any other class, also a support, is present or uncertain; present if all are absent; else as it was stated.
    3. The codes: +1 present, -1 absent, 0 uncertain or unknown.

    Own addition: a class with ``terms`` is a location. It is present where something is, so that labels also tell a
    left effusion from a right one.

    Args:
        content: what a table file holds, see ``docs/sentences.md``.
        source: file of the table, for messages.

    Raises:
        ValueError: if the content is no label table; names the class and key.
    """

    def __init__(self, content: Mapping[str, Any], *, source: str | os.PathLike[str] = "label table") -> None:
        self.source = str(source)
        self._check(content)
        classes = content["classes"]
        self.name: str = content["name"]
        self.names: tuple[str, ...] = tuple(entry["name"] for entry in classes)
        self.phrases: tuple[str, ...] = tuple(entry["phrase"] for entry in classes)
        self.entities: tuple[tuple[str, ...], ...] = tuple(tuple(entry.get("entities", ())) for entry in classes)
        self.terms: tuple[tuple[str, ...], ...] = tuple(tuple(entry.get("terms", ())) for entry in classes)
        self.locations: tuple[int, ...] = tuple(place for place, terms in enumerate(self.terms) if terms)
        self.entity_lists: tuple[str, ...] = tuple(content.get("entity_lists", ()))
        no_finding = content.get("no_finding")
        self.no_finding: int | None = None if no_finding is None else self.names.index(no_finding)
        self.supports: tuple[int, ...] = tuple(self.names.index(name) for name in content.get("supports", ()))
        self._policy = [entry.get("uncertain") for entry in classes]
        self._aliases: dict[str, int] = {}
        self._parts: dict[str, list[int]] = {}
        self._groups: list[list[frozenset[str]]] = []
        for place, entry in enumerate(classes):
            for alias in (entry["name"], *entry.get("aliases", ())):
                if self._aliases.setdefault(_plain(alias), place) != place:
                    other = self.names[self._aliases[_plain(alias)]]
                    raise self._fault(f"{alias!r} is a name of both {other!r} and {entry['name']!r}")
            self._groups.append([frozenset(map(_plain, group)) for group in entry.get("parts", ())])
            for part in frozenset().union(*self._groups[-1]):
                self._parts.setdefault(part, []).append(place)
        self._coded: dict[Any, NDArray[np.int8]] = {}
        self._exact = {name: self._places(_plain(name)) for name in self.names}

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def index(self, name: str) -> int | None:
        """Return the index of the class that has this name, or None. Case, "_" and "-" make no difference."""
        return self._aliases.get(_plain(name))

    def unknown_names(self, labels: Iterable[str]) -> list[str]:
        """Return the names that say nothing about any class."""
        return [name for name in labels if not self._find(name)[1]]

    def resolve(self, labels: Mapping[str, int]) -> dict[str, int]:
        """Return labels by class, in the order of the classes; a class that nothing is said of is left out.

        Of several names for one class the strongest counts: present, then uncertain, then absent. A part makes the
        class present or uncertain; absent only if all parts of one of its groups are.

        Args:
            labels: name -> 1 present, 0 absent, -1 uncertain or unknown; other names are ignored.

        Raises:
            ValueError: if a value is none of these.
        """
        said: dict[int, int] = {}
        absent: set[str] = set()
        partly: set[int] = set()
        for name, value in labels.items():
            plain, places = self._find(name)
            if not places:
                continue
            if value not in _RANK:
                raise ValueError(f"the label {name!r} must be 1, 0 or -1, not {value!r}")
            if value == 0:
                absent.add(plain)
            for place, is_part in places:
                if is_part and value == 0:
                    partly.add(place)
                elif place not in said or _RANK[value] > _RANK[said[place]]:
                    said[place] = int(value)
        for place in partly:
            if place not in said and any(group <= absent for group in self._groups[place]):
                said[place] = 0
        return {self.names[place]: said[place] for place in sorted(said)}

    def codes(
        self, labels: Mapping[str, int], *, image: bool = True, missing: str = "unknown", uncertain: str = "policy"
    ) -> NDArray[np.int8]:
        """Return the codes of labels: +1 present, -1 absent, 0 uncertain or unknown; ``[K]``.

        Args:
            labels: name -> 1 present, 0 absent, -1 uncertain or unknown; names that the table does not know are
                ignored.
            image: whether they are of an image and step 2 applies, not of a sentence.
            missing: what a class without a label is, ``"unknown"`` or, as in the official code, ``"absent"``.
            uncertain: what -1 says: ``"policy"``, uncertain as step 1 has it, or ``"unknown"``, for labels whose -1
                means that nobody looked.

        Raises:
            ValueError: if an argument or a label is out of range.
        """
        if missing not in MISSING or uncertain not in UNCERTAIN:
            raise ValueError(
                f"missing must be one of {', '.join(MISSING)} and uncertain one of {', '.join(UNCERTAIN)}, "
                f"not {missing!r} and {uncertain!r}"
            )
        key = (*labels.items(), image, missing, uncertain)
        if (known := self._coded.get(key)) is not None:
            return known.copy()
        states = [0 if missing == "absent" else _UNKNOWN] * len(self.names)
        for name, value in self.resolve(labels).items():
            place = self._aliases[_plain(name)]
            if value == -1:
                policy = self._policy[place]
                value = _UNKNOWN if uncertain == "unknown" else -1 if policy is None else policy
            states[place] = value
        if image and self.no_finding is not None:
            self._settle_no_finding(states, self.no_finding)
        codes = _CODES[states]
        if len(self._coded) < _CACHED:  # reports say the same things over and over
            self._coded[key] = codes.copy()
        return codes

    def _settle_no_finding(self, states: list[int], no_finding: int) -> None:
        if states[no_finding] == 1:
            kept = {no_finding, *self.supports}
            states[:] = [state if place in kept else 0 for place, state in enumerate(states)]
        others = {state for place, state in enumerate(states) if place != no_finding}
        if others & {1, -1}:
            states[no_finding] = 0
        elif others <= {0}:
            states[no_finding] = 1

    def _find(self, name: str) -> tuple[str, list[tuple[int, bool]]]:
        found = self._exact.get(name)
        if found is None:
            found = self._places(_plain(name))
            if found[1]:  # names that mean nothing are not collected: there is no end of them
                self._exact[name] = found
        return found

    def _places(self, plain: str) -> tuple[str, list[tuple[int, bool]]]:
        alias = self._aliases.get(plain)
        places = [] if alias is None else [(alias, False)]
        return plain, places + [(place, True) for place in self._parts.get(plain, ()) if place != alias]

    def _fault(self, message: str) -> ValueError:
        return ValueError(f"{self.source}: {message}")

    def _check(self, content: object) -> None:
        if not isinstance(content, Mapping) or not isinstance(content.get("classes"), list) or not content["classes"]:
            raise self._fault("a label table is a JSON object with a list of classes")
        self._check_keys(content, "the table", _TABLE_KEYS, ("name",))
        for entry in content["classes"]:
            if not isinstance(entry, Mapping):
                raise self._fault(f"a class must be a JSON object, not {type(entry).__name__}")
            self._check_keys(entry, f"the class {entry.get('name')!r}", _CLASS_KEYS, ("name", "phrase"))
            groups = entry.get("parts", [])
            if not isinstance(groups, list) or not all(_is_names(group) and group for group in groups):
                raise self._fault(f"parts of {entry['name']!r} must be a list of lists of names")
            if entry.get("uncertain") not in (None, 0, 1):
                raise self._fault(f"uncertain of {entry['name']!r} must be 1, 0 or null, not {entry['uncertain']!r}")
        names = [entry["name"] for entry in content["classes"]]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise self._fault(f"more than one class has the name {min(repeated)!r}")
        special = [content.get("no_finding"), *content.get("supports", ())]
        if absent := [name for name in special if name is not None and name not in names]:
            raise self._fault(f"no_finding and supports must name classes; there is no class {absent[0]!r}")
        for entry in (entry for entry in content["classes"] if entry.get("terms")):
            if entry.get("entities") or entry["name"] in special:
                raise self._fault(
                    f"the class {entry['name']!r} has terms, which makes it a location: it can have no entities and "
                    "be neither no_finding nor one of supports"
                )

    def _check_keys(self, entry: Mapping[str, Any], what: str, known: set[str], texts: tuple[str, ...]) -> None:
        if other := sorted(set(entry) - known):
            raise self._fault(f"{what} has the unknown key {other[0]!r}; known are {', '.join(sorted(known))}")
        for key in texts:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise self._fault(f"{what} needs a text {key!r}")
        for key in ("entities", "terms", "aliases", "entity_lists", "supports"):
            if not _is_names(entry.get(key, [])):
                raise self._fault(f"{key} of {what} must be a list of texts")


def label_table(source: str | os.PathLike[str]) -> LabelTable:
    """Read a label table.

    Args:
        source: ``"chexpert"``, the 14 CheXpert classes of DCXFM; ``"findings"``, what radiographs of small open
            collections show, tuberculosis and devices included; or the path of a JSON file of the same format.

    Raises:
        FileNotFoundError: if it is neither.
        ValueError: if the file is no label table; names the class and key.
    """
    for path in (_FOLDER / f"{source}.json", Path(source)):
        if path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8-sig"))
            except ValueError as error:
                raise ValueError(f"{path} is not JSON: {error}") from None
            return LabelTable(content, source=path)
    known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.json")))
    raise FileNotFoundError(f"{str(source)!r} is neither a label table of the package ({known}) nor a JSON file")


def _plain(name: str) -> str:
    return " ".join(re.sub("[_-]", " ", name).lower().split())


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name.strip() for name in value)
