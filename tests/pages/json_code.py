# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What in a piece of JSON cannot be right: its form, keys that stand there twice, components that do not exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbundles.components.hub.config_file import ConfigFile
from radbundles.components.verify.stacks import Stack
from radbundles.components.verify.target_rules import check_targets
from radbundles.components.verify.targets import KNOWN_PACKAGES


def json_faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield line, from 1, and message of each fault; targets of packages that are not known here are left alone."""
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in found]
        twice.extend(name for name in set(names) if names.count(name) > 1)
        return dict(found)

    try:
        content = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        yield error.lineno, f"this is no JSON: {error.msg}"
        return
    for name in twice:
        yield _line(text, f'"{name}"'), f"the key {name!r} stands there twice"
    if isinstance(content, list):
        content = {"list": content}
    if not isinstance(content, dict):
        return
    stack = Stack((ConfigFile(Path("block.json"), "block", content, ()),), content, {})
    for finding in check_targets(stack):
        package, dot, _ = (finding.value or "").partition(".")
        if (finding.key or "").endswith("_target_") and dot and package not in KNOWN_PACKAGES:
            continue
        yield _line(text, finding.value or ""), f"{finding.key} ({finding.value}): {finding.message}; {finding.mend}"


def _line(text: str, part: str) -> int:
    return text.count("\n", 0, max(text.find(part), 0)) + 1
