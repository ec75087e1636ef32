# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle's configs say, read as MONAI reads them but without running anything; neither torch nor MONAI comes in.

Ids are written with "#" here ("train#handlers#0"); in the files MONAI's "::" means the same.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from radbundles.components.hub.config_file import ConfigFile, ConfigFileError, find, leaves, parts, read_config

__all__ = [
    "REFERENCE",
    "REFERENCE_NAME",
    "ConfigFile",
    "ConfigFileError",
    "Entry",
    "expression_tree",
    "find",
    "lay",
    "macro_parts",
    "merge",
    "read_config",
    "references",
    "walk",
]

Kind = Literal["target", "expression", "reference", "macro", "import", "text", "value"]

# What stands for the n-th of `references(text)` in its `expression_tree`.
REFERENCE_NAME = "_reference_"
# As MONAI's ReferenceResolver.id_matcher and ConfigParser.relative_id_prefix, for both separators.
REFERENCE = re.compile(r"@(\w*(?:(?:#|::)\w*)*)")
_RELATIVE = re.compile(r"([@%])((?:#|::)+)")
_FILE_OF_MACRO = re.compile(r"(.*\.(?:json|yaml|yml))(?=(?:#|::)|$)", re.IGNORECASE | re.DOTALL)
_NOTHING = object()


@dataclass(frozen=True)
class Entry:
    """One value of a config.

    Args:
        id: where it stands, such as ``train#handlers#0#_target_``.
        key: its last part.
        value: the value itself; of containers only empty ones are entries.
        kind: ``target`` (text under ``_target_``, computed or not), ``import`` and ``expression`` (text after "$"),
            ``reference`` (the whole text is "@" and an id), ``macro`` (text after "%"), ``text``, or ``value``.
    """

    id: str
    key: str
    value: Any
    kind: Kind


def walk(content: Any, prefix: str = "") -> Iterator[Entry]:
    """Yield every value of a config, nested ones too, in the order of the file.

    Args:
        content: content of a config or a part of it.
        prefix: id of that part.
    """
    for ident, key, value in leaves(content, prefix):
        yield Entry(ident, key, value, _kind(key, value))


def _kind(key: str, value: Any) -> Kind:
    if not isinstance(value, str):
        return "value"
    if key == "_target_":
        return "target"
    if value.startswith("$"):
        return "import" if _is_import(value) else "expression"
    if value.startswith("%"):
        return "macro"
    return "reference" if REFERENCE.fullmatch(value) else "text"


def _is_import(text: str) -> bool:
    # MONAI imports what a first statement names, and leaves the others alone.
    if "import" not in text:
        return False
    try:
        tree = expression_tree(text)
    except SyntaxError:
        return False
    return isinstance(tree, ast.Module)


def expression_tree(text: str) -> ast.Module | ast.Expression:
    """Return the tree of what follows "$"; the n-th of ``references(text)`` is the name ``REFERENCE_NAME`` + n.

    Returns:
        A module where the first statement imports, as MONAI tells an import; the tree of an expression otherwise.

    Raises:
        SyntaxError: it is no Python expression, with its place; also one that is too deep or holds a zero byte.
    """
    order = {ident: place for place, ident in enumerate(references(text))}
    code = REFERENCE.sub(lambda found: f"{REFERENCE_NAME}{order[_id(found[1])]}", text.removeprefix("$"))
    try:
        if "import" in code:
            try:
                module = ast.parse(code)
            except SyntaxError:
                module = ast.Module([], [])
            if module.body and isinstance(module.body[0], (ast.Import, ast.ImportFrom)):
                return module
        return ast.parse(code, mode="eval")
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "nested too deep") from error


def references(text: str, ident: str = "") -> tuple[str, ...]:
    """Return the ids that a text names, once each in their order.

    Args:
        text: any text of a config; only an expression, or a text that is a reference and nothing else, names ids.
        ident: where the text stands, which relative references (``@#data``: beside it, ``@##data``: one level up) count
            from. Without it they are returned as they are.

    Returns:
        Ids with "#". An "@" without a name gives an empty one, since MONAI knows no product of matrices.

    Raises:
        ConfigFileError: a relative reference climbs out of the config.
    """
    if not text.startswith("$") and not REFERENCE.fullmatch(text):
        return ()
    if ident:
        text = _absolute(text, ident)
    return tuple(dict.fromkeys(_id(found) for found in REFERENCE.findall(text)))


def macro_parts(text: str, ident: str = "") -> tuple[str, str]:
    """Return the file and the id that a macro such as ``%other.json#network`` names; no file is the config itself.

    Args:
        text: a text that starts with "%".
        ident: where it stands, see ``references``.

    Raises:
        ConfigFileError: a relative id climbs out of the config.
    """
    if ident:
        text = _absolute(text, ident)
    text = text.removeprefix("%")
    file = _FILE_OF_MACRO.match(text)
    return (file[1], _id(text[file.end() :]).removeprefix("#")) if file else ("", _id(text))


def _id(text: str) -> str:
    return text.replace("::", "#")


def _absolute(text: str, ident: str) -> str:
    here = parts(ident)

    def resolve(found: re.Match[str]) -> str:
        up = _id(found[2]).count("#")
        if up > len(here):
            raise ConfigFileError(f"{ident}: {text!r} climbs out of the config: name the id in full")
        return found[1] + "".join(f"{key}#" for key in here[: len(here) - up])

    return _RELATIVE.sub(resolve, text)


def merge(files: Sequence[ConfigFile]) -> dict[str, Any]:
    """Lay configs over one another as MONAI does: a later key replaces, "+key" adds, "a#b" goes into what is there.

    Raises:
        ConfigFileError: what a nested key goes into does not exist, or "+key" meets what it cannot add to.
    """
    merged: dict[str, Any] = {}
    for file in files:
        for key, value in file.content.items():
            lay(merged, key, copy.deepcopy(value), file)
    return merged


def lay(merged: dict[str, Any], key: str, value: Any, file: ConfigFile) -> None:
    """Lay one key of a config over what others have given, in place, see ``merge``.

    Args:
        merged: what the configs before gave.
        key: the key as the file has it.
        value: its value, which becomes part of ``merged``.
        file: where the key is, for the message.

    Raises:
        ConfigFileError: as in ``merge``.
    """
    ident = _id(key.removeprefix("+"))
    above, _, last = ident.rpartition("#")
    try:
        parent = find(merged, above)
        place: Any = int(last) if isinstance(parent, list) else last
        there = parent[place] if isinstance(parent, list) or place in parent else _NOTHING
    except LookupError as error:
        missing = above if isinstance(error, IndexError) else error
        raise ConfigFileError(
            f"{file.path}: {key!r} goes into {str(missing)!r}, which the configs before it do not have: mend the name"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigFileError(
            f"{file.path}: {key!r} goes into {above!r}, which has no place {last!r}: mend the name"
        ) from error
    if key.startswith("+") and there is not _NOTHING:
        if isinstance(there, dict) and isinstance(value, dict):
            there.update(value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(value)
        else:
            raise ConfigFileError(
                f"{file.path}: {key!r} adds a {type(value).__name__} to a {type(there).__name__}: "
                "only lists add to lists, and objects to objects"
            )
    else:
        parent[place] = value
