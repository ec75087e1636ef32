# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a table from all processes, the same however the samples were dealt out."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

__all__ = ["gather_rows"]

Row = TypeVar("Row")


def gather_rows(rows: dict[str, Row]) -> dict[str, Row]:
    """Rows of all processes in the order of their ids.

    A sampler that deals out equal numbers repeats a few samples to get there; an id occurs once in the result.

    Args:
        rows: the rows of this process by id; they can be pickled.
    """
    parts = [rows]
    if dist.is_available() and dist.is_initialized():
        parts = [dict[str, Row]() for _ in range(dist.get_world_size())]
        dist.all_gather_object(parts, rows)
    merged = {id: row for part in parts for id, row in part.items()}
    return {id: merged[id] for id in sorted(merged)}
