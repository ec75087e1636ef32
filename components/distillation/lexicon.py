# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Read the two word lists of the rule backend, entities and cues, into tries over words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from radbundles.components.distillation.entity_file import entity_file
from radbundles.components.distillation.sentences import words_of
from radbundles.components.distillation.trie import Trie, add_phrase, copy_trie

CUES = Path(__file__).parent / "cues.json"


class Mention(NamedTuple):
    """Payload of a surface form: it names an entity by itself."""

    entity: str


class Structure(NamedTuple):
    """Payload of an anatomical term: it names its entities only together with a word on its state."""

    entities: tuple[str, ...]
    normal: frozenset[str]
    abnormal: frozenset[str]


class Statement(NamedTuple):
    """Payload of a phrase such as "normal chest": its entities are absent."""

    entities: tuple[str, ...]
    alone: bool


class Cue(NamedTuple):
    """Payload of a cue phrase."""

    kind: str
    where: str
    phrase: str


def read_list(path: str | Path) -> tuple[dict[str, Any], str]:
    """Read the JSON file of a list.

    Returns:
        The JSON object and the SHA-256 of the file.

    Raises:
        ValueError: if the file is not a JSON object.
        FileNotFoundError: if there is no such file.
    """
    data = Path(path).read_bytes()
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a JSON object is wanted, not {type(content).__name__}")
    return content, hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class CueList:
    """Words that decide on certainty, ready to use. See ``cues.json`` for what each list holds."""

    trie: Trie
    normal: frozenset[str]
    abnormal: frozenset[str]
    borderline: frozenset[str]
    restart: frozenset[str]
    qualifiers: frozenset[str]
    copulas: frozenset[str]
    connectors: frozenset[str]
    descriptors: frozenset[str]
    openers: frozenset[str]
    abbreviations: frozenset[str]
    headings: dict[str, str]
    sha256: str

    @classmethod
    def read(cls, source: str | Path = CUES) -> CueList:
        """Read the list that comes with the package or one at a path.

        Raises:
            ValueError: if a list is missing or a phrase is in two lists that exclude each other.
        """
        content, sha256 = read_list(source)
        try:
            trie: Trie = {}
            for kind in ("negation", "uncertainty"):
                for where in ("pre", "post", "both"):
                    for phrase in content[kind][where]:
                        add_phrase(trie, phrase, Cue(kind, where, phrase))
            for kind in ("alternative", "pseudo", "skip"):
                for phrase in content[kind]:
                    add_phrase(trie, phrase, Cue(kind, "", phrase))
            for where in ("any", "negation"):
                for phrase in content["termination"][where]:
                    add_phrase(trie, phrase, Cue("termination", where, phrase))
            states = content["states"]
            for where in ("normal", "borderline", "abnormal"):
                for phrase in states[where]:
                    _add_state(trie, phrase, where)
            words = {
                key: frozenset(content[key])
                for key in ("restart", "qualifiers", "copulas", "connectors", "descriptors", "openers")
            }
            return cls(
                trie=trie,
                normal=frozenset(states["normal"]),
                abnormal=frozenset(states["abnormal"]),
                borderline=frozenset(states["borderline"]),
                abbreviations=frozenset(content["abbreviations"]),
                headings={name: kind for kind, names in content["sections"].items() for name in names},
                sha256=sha256,
                **words,
            )
        except KeyError as error:
            raise ValueError(f"{source}: the list {error} is missing") from error
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error

    def section_kind(self, name: str) -> str:
        """``"excluded"``, ``"impression"`` or ``"findings"`` (also for names that no list knows)."""
        return self.headings.get(" ".join(name.lower().replace("_", " ").split()), "findings")


def _add_state(trie: Trie, phrase: str, where: str) -> None:
    """Add a state word; one that already is a cue of another kind keeps that kind ("borderline" is both)."""
    words = words_of(phrase)
    node: Trie | None = trie
    for word in words:
        node = node.get(word) if node is not None else None
    if node is None or "" not in node:
        add_phrase(trie, phrase, Cue("state", where, phrase))


@dataclass(frozen=True)
class EntityList:
    """Entities to look for, ready to use. See ``entities/chest.json`` for the format."""

    name: str
    version: str
    phrases: dict[str, str]
    trie: Trie = field(repr=False)
    cue_trie: Trie = field(repr=False)
    sha256: str = ""

    @classmethod
    def read(cls, source: str | Path, cues: CueList) -> EntityList:
        """Read ``"chest"``, ``"fundus"`` or a JSON file.

        The state words of the structures join those of the cues in ``cue_trie``.

        Raises:
            ValueError: if a key is missing, an entity unknown or a surface form claimed by two entities.
        """
        content, sha256 = read_list(entity_file(str(source)))
        try:
            phrases = {entity["name"]: entity["phrase"] for entity in content["entities"]}
            if len(phrases) != len(content["entities"]):
                raise ValueError("two entities have the same name")
            trie: Trie = {}
            states: list[str] = []
            for entry in content.get("structures", ()):
                normal, abnormal = entry.get("normal"), entry.get("abnormal")
                states += (normal or []) + (abnormal or [])
                structure = Structure(
                    _known(entry["entities"], phrases),
                    cues.normal if normal is None else frozenset(normal),
                    (cues.abnormal if abnormal is None else frozenset(abnormal)) - set(entry.get("not_abnormal", ())),
                )
                for term in entry["terms"]:
                    add_phrase(trie, term, structure)
            terms = {term for entry in content.get("structures", ()) for term in entry["terms"]}
            for entity in content["entities"]:
                for form in entity["forms"]:
                    if form not in terms:  # an anatomical term needs a state, whoever lists it as a form
                        add_phrase(trie, form, Mention(entity["name"]))
            for entry in content.get("statements", ()):
                absent = _known(entry["absent"], phrases)
                for key, alone in (("phrases", False), ("alone", True)):
                    for phrase in entry.get(key, ()):
                        add_phrase(trie, phrase, Statement(absent, alone))
            for phrase in content.get("ignore", ()):
                add_phrase(trie, phrase, None)
            cue_trie = copy_trie(cues.trie)
            for phrase in states:
                _add_state(cue_trie, phrase, "special")
            return cls(content["name"], content["version"], phrases, trie, cue_trie, sha256)
        except KeyError as error:
            raise ValueError(f"{source}: the key {error} is missing") from error
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error


def _known(names: list[str], phrases: dict[str, str]) -> tuple[str, ...]:
    for name in names:
        if name not in phrases:
            raise ValueError(f"{name!r} is not the name of an entity of this list")
    return tuple(names)
