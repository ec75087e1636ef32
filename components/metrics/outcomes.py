# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores and known outcomes of a table of classes, class by class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Outcomes", "known_outcomes"]


class Outcomes(NamedTuple):
    """The samples of one class whose label is known.

    ``rows`` says which of the N samples they are, ``scores`` and ``positive`` what was scored and what is true.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]

    @property
    def one_sided(self) -> bool:
        """Whether there is only one outcome (or none), so that nothing can be told apart."""
        return bool(self.positive.all() or not self.positive.any())


def known_outcomes(scores: ArrayLike, labels: ArrayLike) -> list[Outcomes]:
    """Part a table into its classes and leave unknown labels out.

    Args:
        scores: [N, K], higher means more likely; any scale.
        labels: [N, K], 1 present, 0 absent, -1 unknown.

    Returns:
        K entries.

    Raises:
        ValueError: shapes that differ or are empty, scores that are not finite, or other labels; with the place.
    """
    table, codes = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2 or table.shape != codes.shape or not table.size:
        shapes = f"{list(table.shape)} and {list(codes.shape)}"
        raise ValueError(f"scores and labels must both be [N, K] with at least one entry, got {shapes}")
    wrong = np.argwhere(~np.isfinite(table))
    if len(wrong):
        raise ValueError(f"the score of sample {wrong[0][0]}, class {wrong[0][1]} is not a finite number")
    wrong = np.argwhere(~np.isin(codes, (1, 0, -1)))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"the label of sample {row}, class {column} is {codes[row, column]}; labels are 1 (present), 0 (absent) "
            "and -1 (unknown)"
        )
    parts = []
    for column, outcome in zip(table.T, codes.T, strict=True):
        rows = np.flatnonzero(outcome >= 0)
        parts.append(Outcomes(rows, column[rows], outcome[rows] == 1))
    return parts
