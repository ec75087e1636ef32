# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Heat maps over images."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from radbundles.components.reports import overlay_heat_map


def test_weight_zero_leaves_the_image() -> None:
    image = np.random.default_rng(0).random((28, 42)).astype(np.float32)
    for heat in (np.zeros((14, 14)), [[0, 0, 0], [0, 0, 0]]):
        overlay = overlay_heat_map(image, heat)
        assert overlay.shape == (28, 42, 3)
        assert np.allclose(overlay, image[:, :, None], atol=1e-6)


def test_strongest_weight_gets_the_last_color_at_full_alpha() -> None:
    overlay = overlay_heat_map(np.zeros((8, 8)), np.ones((2, 2)), alpha=1.0)
    assert np.allclose(overlay, matplotlib.colormaps["plasma"](1.0)[:3], atol=1e-6)
    half = overlay_heat_map(np.zeros((8, 8)), np.ones((2, 2)), alpha=0.5)
    assert np.allclose(half, overlay / 2, atol=1e-6)


def test_map_lies_over_the_right_part_of_the_image() -> None:
    heat = np.zeros((4, 4))
    heat[0, 3] = 1  # top right
    changed = np.abs(overlay_heat_map(np.full((40, 60, 3), 0.5), heat) - 0.5).sum(2)
    assert changed[5, 52] > 0.1
    assert changed[20:].max() < 1e-6 and changed[:, :30].max() < 1e-6


def test_common_maximum_makes_maps_comparable() -> None:
    weak = overlay_heat_map(np.zeros((8, 8)), np.full((2, 2), 0.25), maximum=1.0, alpha=1.0)
    expected = np.array(matplotlib.colormaps["plasma"](0.25)[:3]) * 0.5  # opacity grows up to half of the maximum
    assert np.allclose(weak, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "heat", "alpha", "message"),
    [
        (np.zeros((3, 8, 8)), np.ones((2, 2)), 0.5, r"shape \(3, 8, 8\)"),
        (np.zeros((8, 8)), -np.ones((2, 2)), 0.5, "weights >= 0"),
        (np.zeros((8, 8)), np.full((2, 2), np.nan), 0.5, "finite"),
        (np.zeros((8, 8)), np.ones((2, 2)), 1.5, "got 1.5"),
    ],
)
def test_wrong_input_is_named(image: np.ndarray, heat: np.ndarray, alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay_heat_map(image, heat, alpha=alpha)
