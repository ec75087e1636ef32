# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits by patient: no patient is ever in two of training, validation and test."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from radbundles.components.data.lines import hash64
from radbundles.components.data.schema import SPLITS

FRACTIONS = (0.8, 0.1, 0.1)
_SEPARATOR = "\x1f"


class SplitWarning(UserWarning):
    """Items are split by something weaker than the patient."""


def patient_key(item: Mapping[str, Any]) -> tuple[str, str]:
    """Who an item is of: its field ``patient``, else ``study``, else ``id``, and the value.

    Raises:
        ValueError: it has none of them.
    """
    for field in ("patient", "study", "id"):
        if item.get(field) is not None:
            return field, str(item[field])
    raise ValueError("an item needs a patient, a study or an id to be split by")


class PatientSplitter:
    """Gives each item its split by a hash of seed and patient.

    The split of a patient depends on nothing else, neither the order of the rows nor which other rows there are, so
    a collection can grow without anybody changing sides. An item without a patient id goes by its study, else by its
    own id, and that is warned of once for each kind.

    The source is not part of the hash: collections share patients (one cohort published twice, a graded and a segmented
    set), and a patient must not change sides with the name of the collection.

    Args:
        seed: any integer; another seed is another split.
        fractions: parts of the patients in training, validation and test; they add up to 1. The parts are met on
            average, within about the square root of the number of patients.

    Raises:
        ValueError: the fractions are not three numbers of 0 to 1 that add up to 1.
    """

    def __init__(self, seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> None:
        if len(fractions) != len(SPLITS) or not all(0 <= part <= 1 for part in fractions):
            raise ValueError(f"fractions must be three numbers of 0 to 1 for {', '.join(SPLITS)}, not {fractions!r}")
        if abs(sum(fractions) - 1) > 1e-6:
            raise ValueError(f"fractions must add up to 1; {tuple(fractions)!r} add up to {sum(fractions):g}")
        self.seed = seed
        self.fractions = tuple(fractions)
        self._warned: set[str] = set()

    def __call__(self, item: Mapping[str, Any]) -> str:
        """The split of an item."""
        field, value = patient_key(item)
        if field != "patient" and field not in self._warned:
            self._warned.add(field)
            warnings.warn(
                f"items without a patient id are split by {field}: images of one patient may get into two splits",
                SplitWarning,
                stacklevel=2,
            )
        key = _SEPARATOR.join((str(self.seed), field, value))
        place = hash64(key) / 2**64
        edge = 0.0
        for split, part in zip(SPLITS, self.fractions, strict=True):
            edge += part
            if place < edge:
                return split
        # Rounding of the sum may leave a sliver above the last edge.
        return next(split for split, part in zip(reversed(SPLITS), reversed(self.fractions), strict=True) if part > 0)
