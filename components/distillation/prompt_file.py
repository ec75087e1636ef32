# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Read the data file of a prompt and the list of entities it names."""

from __future__ import annotations

import json
import os
from collections.abc import Container
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from radbundles.components.distillation.entity_file import entity_file
from radbundles.components.distillation.lexicon import CUES, read_list

_FOLDER = Path(__file__).parent / "prompts"
_HEADING = "{section}:"
_LONGEST = 200  # characters of a fault: a fault of the whole file would quote it all


class _Example(NamedTuple):
    report: dict[str, str]
    findings: list[dict[str, Any]]


@cache
def prompt_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a prompt file."""
    text = resources.files(__package__).joinpath("prompt.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def plain_name(name: str) -> str:
    """A name of a section or an entity in lower case with single spaces, for comparison."""
    return " ".join(name.lower().replace("_", " ").split())


def read_prompt_file(
    source: str | os.PathLike[str], entities: str | os.PathLike[str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Read, check and resolve a prompt file.

    Args:
        source: name of a prompt of the package, or path of a JSON file.
        entities: list that replaces the one of the file. What the examples find beyond it is left out, and with it the
            examples that then find nothing.

    Returns:
        The path of the file and the arguments of :class:`Prompt`.

    Raises:
        FileNotFoundError: if there is no such prompt or list.
        ValueError: if one of them is malformed; the message names file and key.
    """
    path = _prompt_file(source)
    content, _ = read_list(path)
    _check(content, path)
    names = _entities(content["entities"] if entities is None else os.fspath(entities), path)
    instructions = "\n".join(content["instructions"])
    if "{entities}" not in instructions:
        raise ValueError(f"{path}: instructions: the placeholder {{entities}} is missing; the model needs the names")
    known = {plain_name(name): name for name in names}
    examples = [_Example(example["report"], example["answer"]["findings"]) for example in content["examples"]]
    examples = [_renamed(example, known) for example in examples]
    if entities is not None:
        examples = _within(examples, names)
        if not any(example.findings for example in examples):
            raise ValueError(
                f"{path}: no example finds an entity of the list {os.fspath(entities)}; write a prompt file of its own"
            )
    excluded = content.get("excluded_sections")
    if excluded is None:
        excluded = read_list(CUES)[0]["sections"]["excluded"]
    return str(path), {
        "name": content["name"],
        "version": content["version"],
        "language": content["language"],
        "entities": names,
        "templates": content["templates"],
        "instructions": instructions.replace("{entities}", ", ".join(names)),
        "examples": tuple(examples),
        "excluded_sections": frozenset(map(plain_name, excluded)),
        "section_heading": content.get("section_heading", _HEADING),
        "repairs": content["repair"],
    }


def _prompt_file(source: str | os.PathLike[str]) -> Path:
    name = os.fspath(source)
    for path in (_FOLDER / f"{name}.json", Path(name)):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.json")))
    raise FileNotFoundError(f"{name!r} is neither a prompt of the package ({known}) nor a JSON file")


def _check(content: dict[str, Any], path: Path) -> None:
    errors = Draft202012Validator(prompt_schema()).iter_errors(content)
    for error in sorted(errors, key=lambda error: [str(key) for key in error.absolute_path]):
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{path}: {f'{where}: ' if where else ''}{error.message[:_LONGEST]}")


def _entities(source: str | list[dict[str, str]], prompt: Path) -> dict[str, str]:
    """Name -> phrase, from an inline list or from a file; forms and structures are of no use here."""
    where: str | Path = prompt
    if isinstance(source, str):
        beside = prompt.parent / source
        where = beside if beside.is_file() else entity_file(source)
        source = read_list(where)[0].get("entities", [])
        if not isinstance(source, list) or not source:
            raise ValueError(f"{where}: entities: a list of objects with name and phrase is wanted")
    names: dict[str, str] = {}
    for number, entity in enumerate(source):
        for key in ("name", "phrase"):
            value = entity.get(key) if isinstance(entity, dict) else None
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{where}: entities.{number}.{key}: a text is wanted")
        names[entity["name"]] = entity["phrase"]
    if len({plain_name(name) for name in names}) != len(source):
        raise ValueError(f"{where}: entities: two have the same name (case and white space aside)")
    return names


def _renamed(example: _Example, known: dict[str, str]) -> _Example:
    """The example with the entities written as the list writes them."""
    findings = [{**f, "entity": known.get(plain_name(f["entity"]), f["entity"])} for f in example.findings]
    return example._replace(findings=findings)


def _within(examples: list[_Example], known: Container[str]) -> list[_Example]:
    kept = [e._replace(findings=[f for f in e.findings if f["entity"] in known]) for e in examples]
    return [now for now, before in zip(kept, examples, strict=True) if now.findings or not before.findings]
