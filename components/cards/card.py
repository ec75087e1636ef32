# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The card of a bundle."""

from __future__ import annotations

from pathlib import Path


def card_text(folder: Path) -> str:
    """Write the card of a bundle, which is its ``docs/README.md``; without front matter.

    Args:
        folder: root of the bundle.

    Raises:
        OSError, ValueError: a file that the card is made of is missing or faulty.
    """
    return (folder / "docs" / "README.md").read_text(encoding="utf-8")
