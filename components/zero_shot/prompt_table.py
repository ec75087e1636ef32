# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Classes in words: each class has terms, and templates make sentences of them."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{([^{}]*)\}")
_KEYS = {"name", "version", "source", "extends", "style", "styles", "classes"}


@dataclass(frozen=True)
class Prompts:
    """Sentences of one class.

    Attributes:
        positive: sentences that say the class is there.
        negative: the same sentences denied, one for each positive one; empty where a denial has no sense (the left
            lung).
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]


@dataclass(frozen=True)
class _Style:
    positive: tuple[str, ...]
    negative: tuple[str, ...]


@dataclass(frozen=True)
class _Class:
    name: str
    terms: tuple[str, ...]
    style: str | None


class PromptTable:
    """Sentences for classes, always all of them in the order of the file.

    Source: DCXFM, evaluation ("xplainer" style: one sentence for each term); terms and templates are our own. The
    official code draws four sentences at random, by a generator that is seeded only if modules are imported in a
    certain order (quirk Q15), and fails where it has built no negative ones (quirk Q41).

    Classes are found whatever the case, and with "_" for a blank; a class may have aliases. Use :func:`prompt_table`.

    Args:
        document: content of a prompt file, see ``docs/zero_shot.md``; an ``extends`` in it is resolved already.
        source: what to call it in errors.
        style: templates in place of the document's own ``style``; classes that fix a style keep theirs.

    Raises:
        ValueError: if the document is not well formed; names the key and the mend.
    """

    def __init__(self, document: Mapping[str, Any], *, source: str = "prompt table", style: str | None = None) -> None:
        _check(document, source)
        self.name = str(document["name"])
        self._styles = {
            key: _Style(tuple(value["positive"]), tuple(value["negative"])) for key, value in document["styles"].items()
        }
        self.style = str(document["style"] if style is None else style)
        if self.style not in self._styles:
            raise ValueError(f"{source}: no style {self.style!r}; it has {', '.join(self._styles)}")
        self._classes: dict[str, _Class] = {}
        for name, entry in document["classes"].items():
            made = _Class(name, tuple(entry["terms"]), entry.get("style"))
            for alias in (name, *entry.get("aliases", ())):
                other = self._classes.setdefault(_key(alias), made)
                if other is not made:
                    raise ValueError(
                        f"{source}: classes.{name}: the name {alias!r} belongs to {other.name!r} already; remove one"
                    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, without aliases."""
        return tuple(dict.fromkeys(made.name for made in self._classes.values()))

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles."""
        return tuple(self._styles)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self._classes

    def prompts(self, name: str, *, own_term: bool = False) -> Prompts:
        """Return the sentences of a class.

        Args:
            name: class or alias.
            own_term: take a class that the table does not have as its own only term, in place of the error.

        Raises:
            KeyError: if there is no such class; names near matches.
        """
        found = self._classes.get(_key(name))
        if found is None:
            if not own_term or not name.strip():
                raise UnknownClassError(self._unknown(name))
            found = _Class(name, (" ".join(name.replace("_", " ").split()),), None)
        style = self._styles[found.style or self.style]
        values = [{"term": term, "class": _words(name, found)} for term in found.terms]

        def fill(templates: Sequence[str]) -> list[str]:
            return [_fill(template, words) for words in values for template in templates]

        positive, negative = fill(style.positive), fill(style.negative)
        if not negative:
            return Prompts(tuple(dict.fromkeys(positive)), ())
        # A template without {term} says the same for each term.
        pairs = dict.fromkeys(zip(positive, negative, strict=True))
        return Prompts(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(_key(name), self._classes, n=3, cutoff=0.5)
        names = ", ".join(dict.fromkeys(self._classes[key].name for key in near))
        meant = f"did you mean {names}?" if names else f"it has {len(self.classes)} others"
        return (
            f"no class {name!r} in the prompt table {self.name!r}: {meant} "
            "Add it in a file of your own that extends the table, or ask for it as a phrase"
        )


class UnknownClassError(KeyError):
    """A class that the table does not have; the message is shown as it is, not quoted as of other key errors."""

    def __str__(self) -> str:
        return str(self.args[0])


def prompt_table(source: str | os.PathLike[str] | PromptTable = "chest", *, style: str | None = None) -> PromptTable:
    """Read a prompt table.

    Args:
        source: "chest", the table of the package, or the path of a JSON file of your own. A file with
            ``"extends": "chest"`` is laid over that table: its classes and styles replace those of the same name.
        style: templates in place of the table's own.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if the file is not well formed.
    """
    if isinstance(source, PromptTable):
        if style is not None and style != source.style:
            raise ValueError(f"style {style!r} for a table that was made with {source.style!r}; make it with the other")
        return source
    return PromptTable(_read(source, ()), source=os.fspath(source), style=style)


def _read(source: str | os.PathLike[str], seen: tuple[Path, ...]) -> dict[str, Any]:
    path = next((path for path in (_FOLDER / f"{os.fspath(source)}.json", Path(source)) if path.is_file()), None)
    if path is None:
        known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.json")))
        raise FileNotFoundError(f"{os.fspath(source)!r} is neither a prompt table of the package ({known}) nor a file")
    if path in seen:
        raise ValueError(f"{path}: extends: the table extends itself; name another")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds a {type(document).__name__}; a prompt table is a JSON object")
    base = document.pop("extends", None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise ValueError(f"{path}: extends: must be the name of a table, got {base!r}")
    # A path is meant beside the file that names it.
    beside = path.parent / base
    below = _read(beside if beside.is_file() else base, (*seen, path))
    merged = {**below, **document}
    for key in ("styles", "classes"):
        if isinstance(document.get(key, {}), dict):
            taken = {_key(name) for name in document.get(key, {})}
            merged[key] = {name: value for name, value in below[key].items() if _key(name) not in taken}
            merged[key] |= document.get(key, {})
    return merged


def _check(document: Mapping[str, Any], source: str) -> None:
    def fault(key: str, what: str) -> ValueError:
        return ValueError(f"{source}: {key}: {what}")

    def texts(key: str, value: Any, *, empty: bool = False) -> None:
        if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
            raise fault(key, f"must be a list of texts that are not empty, got {value!r}")
        if not value and not empty:
            raise fault(key, "must hold at least one text")
        if len(set(value)) != len(value):
            raise fault(key, "holds a text twice; remove one")

    for key in sorted(set(document) - _KEYS):
        raise fault(key, f"unknown key; known are {', '.join(sorted(_KEYS))}")
    for key, kind in (("name", str), ("style", str), ("styles", dict), ("classes", dict)):
        if not isinstance(document.get(key), kind) or not document[key]:
            raise fault(key, f"must be there and be {'a text' if kind is str else 'an object'} that is not empty")
    for name, style in document["styles"].items():
        if not isinstance(style, dict) or set(style) != {"positive", "negative"}:
            raise fault(f"styles.{name}", "must be an object with the keys positive and negative")
        for side in ("positive", "negative"):
            texts(f"styles.{name}.{side}", style[side], empty=side == "negative")
            for template in style[side]:
                _check_template(template, lambda what, key=f"styles.{name}.{side}": fault(key, what))
        if style["negative"] and len(style["negative"]) != len(style["positive"]):
            raise fault(f"styles.{name}.negative", "must be empty, or hold the denial of each positive template")
    for name, entry in document["classes"].items():
        if not isinstance(entry, dict) or not name.strip():
            raise fault(f"classes.{name}", "must be an object with the key terms, under a name that is not empty")
        for key in sorted(set(entry) - {"terms", "aliases", "style"}):
            raise fault(f"classes.{name}.{key}", "unknown key; known are aliases, style, terms")
        texts(f"classes.{name}.terms", entry.get("terms"))
        texts(f"classes.{name}.aliases", entry.get("aliases", []), empty=True)
        if entry.get("style") is not None and entry["style"] not in document["styles"]:
            raise fault(f"classes.{name}.style", f"no style {entry['style']!r}; define it under styles")


def _check_template(template: str, fault: Any) -> None:
    places = _PLACE.findall(template)
    if "{" in _PLACE.sub("", template) or "}" in _PLACE.sub("", template) or set(places) - {"term", "class"}:
        raise fault(f"{template!r}: the places are {{term}} and {{class}}, and no other braces")
    if not places:
        raise fault(f"{template!r} has neither {{term}} nor {{class}}, so that all classes would read the same")


def _fill(template: str, words: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: words[place[1]], template)


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _words(name: str, found: _Class) -> str:
    """Name of a class inside a sentence: lower case, but for abbreviations."""
    spelt = found.name if _key(name) != _key(found.name) else name
    return " ".join(
        word if word.isupper() and len(word) > 1 else word.lower() for word in spelt.replace("_", " ").split()
    )
