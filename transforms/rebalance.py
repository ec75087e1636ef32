# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Token weights of the masked language loss: away from negation boilerplate, towards descriptors."""

from __future__ import annotations

import numpy as np

NEGATION_TEMPLATES = ("there is no evidence of", "there is no")
"""What a report repeats before each finding that is absent."""
TEMPLATE_WEIGHT = 0.05


def rebalanced_weights(descriptors: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Return weights that take 95 % of the mass off the template tokens and give it to the descriptors.

    Source: ECAMP, entity-aware re-balanced factor. Template tokens begin with 0.05, all
    others with 1; then the descriptors are multiplied by the one factor that makes the weights sum to their number
    again. A descriptor may be a template token too ("no" in "there is no effusion"). Without a descriptor every token
    takes its share; without a template all weights are 1, whatever the descriptors.

    Args:
        descriptors: tokens that describe an entity, bool ``[L]``.
        templates: tokens of a negation template, bool ``[L]``.

    Returns:
        float32 ``[L]``, sum L.
    """
    weights = np.ones(len(templates), dtype=np.float32)
    removed = (1 - TEMPLATE_WEIGHT) * np.count_nonzero(templates)
    if removed:
        weights[templates] = TEMPLATE_WEIGHT
        receiving = descriptors if descriptors.any() else slice(None)
        weights[receiving] *= 1 + removed / weights[receiving].sum()
    return weights
