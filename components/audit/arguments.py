# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges arguments by their names: those through which a component calls what they name, or fetches code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from radbundles.components.audit.policy import AuditPolicy


def argument_fault(
    keys: Sequence[str], value: Any, policy: AuditPolicy, *, settings: bool = False
) -> tuple[str, str] | None:
    """Say what is wrong with an argument, and its mend; None if nothing is.

    Args:
        keys: its name, the last of them, and those of the objects around it.
        value: plain value, or the text of what is not known.
        policy: which names are which.
        settings: it stands in a file beside the weights, which none but the reader of a model looks into.
    """
    lists, around = policy.lists["arguments"], set(keys)
    if around & set(lists["refused"]) and value is not False and value is not None:
        return "is an argument that runs a pickle, fetches code or stops in a debugger", "leave it out"
    if not settings and keys[-1] in lists["fetching"] and value is not False and value is not None:
        return "fetches weights", "say false, and load weights of the bundle"
    if around & set(lists["only_true"]) and value is not True:
        return "lets pickles run code", "leave it out or say true"
    if around & set(lists["plain_words"]) and not re.fullmatch(r"\w+", str(value)):
        return "names code that transformers would fetch", "use eager or sdpa"
    name = keys[-2] if keys[-1].isdecimal() and len(keys) > 1 else keys[-1]
    if name in lists["names"] and value is not None and not _is_known(str(value), policy):
        return "names what its component calls", "name a class of MONAI or radbundles"
    return None


def _is_known(name: str, policy: AuditPolicy) -> bool:
    return name in policy.allow or (name in policy.targets and name.endswith(("Reader", "Writer", "Merger")))
