# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Re-balance weights."""

from __future__ import annotations

import numpy as np
import pytest

from radbundles.transforms import rebalanced_weights


def flags(length: int, *places: int) -> np.ndarray:
    values = np.zeros(length, dtype=bool)
    values[list(places)] = True
    return values


def test_worked_example() -> None:
    # |D| = 11 and |M| = 12, of which 5 are template words.
    templates = flags(256, 0, 1, 2, 4, 5, 6, 10, 11, 12, 13, 14)
    descriptors = flags(256, 1, 2, 5, 6, 14, 40, 41, 42, 43, 44, 45, 46)
    weights = rebalanced_weights(descriptors, templates)
    assert weights[40] == pytest.approx(2.441, abs=5e-4)  # (0.95 * 6 + 12) / (12 - 0.95 * 5)
    assert weights[1] == pytest.approx(0.122, abs=5e-4)
    assert weights[0] == pytest.approx(0.05)
    assert weights[100] == 1


def test_without_descriptor_every_token_takes_its_share() -> None:
    weights = rebalanced_weights(flags(20), flags(20, 3, 4, 5))
    factor = 20 / (20 - 0.95 * 3)
    np.testing.assert_allclose(weights, np.where(flags(20, 3, 4, 5), 0.05 * factor, factor), rtol=1e-6)


def test_without_template_descriptors_gain_nothing() -> None:
    assert (rebalanced_weights(flags(9, 2, 3), flags(9)) == 1).all()


def test_weights_sum_to_their_number() -> None:
    state = np.random.RandomState(0)
    for _ in range(500):
        length = state.randint(1, 300)
        descriptors, templates = (state.random_sample((2, length)).T < state.random_sample(2)).T
        weights = rebalanced_weights(descriptors, templates)
        assert weights.dtype == np.float32
        assert weights.sum() == pytest.approx(length, rel=1e-5)
        assert (weights > 0).all()
