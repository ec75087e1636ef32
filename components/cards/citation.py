# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Citations as BibTeX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bibtex(metadata: Mapping[str, Any]) -> str:
    """Write the entries of ``citation`` in a bundle's metadata as a block of BibTeX.

    Args:
        metadata: content of ``configs/metadata.json``; ``citation`` is a list of objects with ``type`` (``article``),
            ``key``, and the fields of BibTeX as texts or numbers.

    Returns:
        the block in a fence, or nothing where there is no citation.

    Raises:
        ValueError: an entry without type or key.
    """
    entries = []
    for place, entry in enumerate(metadata.get("citation") or ()):
        fields = dict(entry)
        try:
            head = f"@{fields.pop('type')}{{{fields.pop('key')},"
        except KeyError as error:
            raise ValueError(f"configs/metadata.json: citation#{place} has no {error}: it needs type and key") from None
        entries.append("\n".join([head, *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"]))
    return "```bibtex\n" + "\n\n".join(entries) + "\n```" if entries else ""
