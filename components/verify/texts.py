# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V1: what the texts of a bundle say: no machine's paths, one form of JSON, no front matter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.hub.bundle_config import ConfigFileError, read_config, walk
from radbundles.components.verify.finding import Finding

# Where people keep things. A URL's path and a placeholder's are no paths of a machine.
_MACHINE = re.compile(
    r"(?<![\w.~$}/:>-])/(?:home|Users|root|mnt|media|scratch|workspace|work|tmp|private|srv|nfs)/[\w.]|"
    r"(?<!\w)[A-Za-z]:\\\\?(?:Users|home|data)|file:///"
)
# A value of a config, or a text in an expression, which starts where no other machine has the same.
_ABSOLUTE = re.compile(r"/\w|~[/\\]|[A-Za-z]:[\\/]|\\\\\w|file://")
_QUOTED = re.compile(r"""['"]((?:/\w|~[/\\]|[A-Za-z]:[\\/]|file://)[^'"]*)""")
_COMMENTS = ("about", "_desc_")
_MEND = "use bundle_root, dataset_dir and output_dir, which users set"


def check_texts(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the texts of configs and documents."""
    configs, docs = folder / "configs", folder / "docs"
    for path in sorted(configs.glob("*")):
        if path.suffix in (".json", ".yaml", ".yml"):
            yield from _check_config(path, f"configs/{path.name}")
        elif path.is_file():
            yield from _check_lines(path, f"configs/{path.name}")
    for path in sorted(docs.rglob("*")):
        if path.suffix in (".md", ".txt", ".json", ".csv", ".yaml", ".yml", ".html", ".rst") and path.is_file():
            yield from _check_lines(path, path.relative_to(folder).as_posix())
    readme = docs / "README.md"
    if readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff").startswith("---"):
        mend = "take the block between the --- lines out; publishing writes it into the card at the root"
        yield Finding("V1", "docs/README.md", "line 1", "---", "the model card starts with front matter", mend)


def _check_lines(path: Path, name: str) -> Iterator[Finding]:
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if found := _MACHINE.search(line):
            value = line[found.start() :].split(maxsplit=1)[0][:80]
            yield Finding(
                "V1", name, f"line {number}", value, "this is a path of one machine", "name no machine's folders"
            )


def _check_config(path: Path, name: str) -> Iterator[Finding]:
    try:
        config = read_config(path)
    except ConfigFileError:
        return  # told by the checks of metadata and configs
    for entry in walk(config.content):
        if not isinstance(entry.value, str):
            continue
        found = _MACHINE.search(entry.value)
        if not found and not any(part in _COMMENTS for part in entry.id.split("#")):
            found = _ABSOLUTE.match(entry.value)
            if not found and entry.kind == "expression":
                found = _QUOTED.search(entry.value)
            elif not found and entry.kind == "macro":
                found = _ABSOLUTE.match(entry.value, 1)
        if found:
            yield Finding("V1", name, entry.id, entry.value, "this is a path of one machine", _MEND)
    if path.suffix == ".json":
        yield from _check_form(path, name)


def _check_form(path: Path, name: str) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8")
    # Numbers stay as they were written: 1e-5 and 0.00001 are the same to a reader.
    content = json.loads(text, parse_float=lambda number: f"\0{number}\0")
    wanted = (json.dumps(content, indent=4, ensure_ascii=ascii_only) for ascii_only in (False, True))
    forms = [re.sub(r'"\\u0000([^"\\]*)\\u0000"', r"\1", form) for form in wanted]
    if text.removesuffix("\n") in forms:
        return
    lines, form = text.splitlines(), forms[0].splitlines()
    number = next(
        (at for at, pair in enumerate(zip(lines, form, strict=False), 1) if pair[0] != pair[1]), len(form) + 1
    )
    mend = "write it as Python's json.dumps does with indent=4"
    yield Finding("V1", name, f"line {number}", None, "the JSON is not indented by four blanks, one value a line", mend)
