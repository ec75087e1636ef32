# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A part of the training items: by patient, the same for every run of a seed, each part within the larger ones."""

from __future__ import annotations

import logging
import math

import numpy as np

from radbundles.components.data.lines import hash64
from radbundles.components.data.split import patient_key
from radbundles.components.data.task_items import TaskItems, rarest_class

logger = logging.getLogger(__name__)
_SEPARATOR = "\x1f"


def take_fraction(items: TaskItems, fraction: float, seed: int = 0) -> TaskItems:
    """Take the items of a part of the patients, for training with few labels.

    Patients are put into strata by the rarest class that is present in one of their images (classes are counted in
    patients; those with none are a stratum of their own), and of each stratum those of the least hash of seed and
    patient are taken: the share, rounded, and at least one. So a part has the classes of the whole, a patient is in it
    with all images or with none, and 1 % lies within 10 % of the same seed. An item without a patient counts by its
    study, else by its id.

    Deviation: the official lists of 1 % and 10 % were drawn by image, so that patients are in several of them in part,
    and classes may be lost.

    Args:
        items: all items.
        fraction: of the patients, above 0 and up to 1.
        seed: any integer; another seed is another part.

    Returns:
        The chosen items, in their order.

    Raises:
        ValueError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and up to 1, not {fraction!r}")
    if fraction == 1 or not len(items):
        return items
    numbers: dict[str, int] = {}
    patients = np.array([numbers.setdefault(_SEPARATOR.join(patient_key(item)), len(numbers)) for item in items])
    present = np.zeros((len(numbers), len(items.classes)), bool)
    np.logical_or.at(present, patients, items.labels == 1)
    strata = rarest_class(present, present.sum(axis=0))
    ranks = np.array([hash64(f"{seed}{_SEPARATOR}{key}") for key in numbers], np.uint64)
    chosen = np.zeros(len(numbers), bool)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        share = max(1, math.floor(fraction * len(members) + 0.5))
        chosen[members[np.argsort(ranks[members], kind="stable")[:share]]] = True
    taken = items.subset(np.flatnonzero(chosen[patients]))
    logger.info(
        "took %d of %d images, of %d of %d patients (fraction %g, seed %d)",
        len(taken),
        len(items),
        chosen.sum(),
        len(chosen),
        fraction,
        seed,
    )
    return taken
