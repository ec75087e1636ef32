# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The text that MONAI hands to ``eval`` for an expression of a config, which is not the text of the config.

MONAI replaces "#" by "::", relative ids by absolute ones and each reference by a look-up with quotes in it, everywhere
in the text. A reference within a text can so end that text, and a key can bring code along: what is audited must be the
text after all that.
"""

from __future__ import annotations

import re

LOOK_UP = "__local_refs"
_REFERENCE = re.compile(r"@(?:\w*)(?:::\w*)*")
_RELATIVE = re.compile(r"(?:@|%)(?:::)+")


def canonical(ident: str) -> str:
    """An id as MONAI spells it, parted by "::"."""
    return ident.replace("#", "::")


def absolute(value: str, ident: str) -> str:
    """A text of a config with its relative ids (``@#a``, ``%##b``) made absolute.

    Args:
        value: the whole text.
        ident: where it stands.

    Raises:
        ValueError: a relative id climbs out of the config.
    """
    value = canonical(value)
    here = canonical(ident).split("::")
    for prefix in sorted(set(_RELATIVE.findall(value)), reverse=True):
        up = prefix.count("::")
        if up > len(here):
            raise ValueError("a relative id climbs out of the config")
        parent = "" if up == len(here) else "::".join(here[:-up]) + "::"
        value = value.replace(prefix, prefix[0] + parent)
    return value


def is_relative(value: str) -> bool:
    """Whether a text has relative ids, which take text from the keys around them."""
    return _RELATIVE.search(canonical(value)) is not None


def reference_ids(value: str) -> list[str]:
    """The ids that an absolute text names, parted by "::", each as often as it stands there."""
    return [found[1:] for found in _REFERENCE.findall(canonical(value))]


def is_reference(value: str) -> bool:
    """Whether the whole text is one reference."""
    return _REFERENCE.fullmatch(canonical(value)) is not None


def executed_text(value: str) -> str:
    """What ``eval`` gets for an absolute text that starts with "$"."""
    text = canonical(value)
    for found in sorted(_REFERENCE.findall(text), key=len, reverse=True):
        text = text.replace(found, f"{LOOK_UP}['{found[1:]}']")
    return text[1:]
