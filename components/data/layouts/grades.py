# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Grades as classes that exclude each other."""

from __future__ import annotations


def grade_labels(name: str, cell: str, count: int) -> dict[str, int]:
    """Labels ``<name> 0``, ``<name> 1`` ... of which that of the grade is 1 and the others 0.

    Raises:
        ValueError: the cell is no grade from 0 to ``count - 1``.
    """
    text = cell.strip().removesuffix(".0")
    if text not in map(str, range(count)):
        raise ValueError(f"{cell!r} is no grade from 0 to {count - 1}")
    return {f"{name} {grade}": int(str(grade) == text) for grade in range(count)}
