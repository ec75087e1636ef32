# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks as run lengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIIM_SIDE = 1024


def decode_relative_rle(text: str, height: int = SIIM_SIDE, width: int = SIIM_SIDE) -> NDArray[np.bool_]:
    """Draw run lengths of SIIM-ACR: pairs of the gap since the end of the last run, and the length of this one.

    The pixels are counted column by column, from the top of each.

    Args:
        text: ``gap length gap length ...``, or ``-1`` for an empty mask.
        height: of the mask in pixels.
        width: of the mask in pixels.

    Returns:
        bool [height, width].

    Raises:
        ValueError: not pairs of whole numbers from 0, or more pixels than the mask has.
    """
    words = text.split()
    inside = np.zeros(height * width, np.bool_)
    if words != ["-1"]:
        if len(words) % 2 or not words or not all(word.isascii() and word.isdigit() for word in words):
            raise ValueError("run lengths must be pairs of whole numbers 'gap length', or -1 for none")
        # Gaps and lengths alternate, so that the ends of both add up.
        edges = np.cumsum(np.array(words, np.int64))
        if edges[-1] > inside.size:
            raise ValueError(f"the run lengths reach pixel {edges[-1]} of {height} x {width}")
        steps = np.zeros(inside.size + 1, np.int8)
        np.add.at(steps, edges[0::2], 1)
        np.add.at(steps, edges[1::2], -1)
        inside = np.cumsum(steps[:-1]) > 0
    return inside.reshape(width, height).T
