# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What others have written, on its way to a terminal."""

from __future__ import annotations


def printable(text: object, *, most: int = 160) -> str:
    """Return a text without escape sequences or other signs that a terminal would obey, cut off where it is long.

    Args:
        text: a name, a value or a message that a bundle brings along.
        most: letters to keep.
    """
    whole = str(text)
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in whole[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
