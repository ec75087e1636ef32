# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import FeaturePyramid


def test_levels_have_the_grids_of_their_strides() -> None:
    pyramid = FeaturePyramid(12, 16, out_channels=8, strides=(4, 8, 16, 32, 64))
    levels = pyramid(torch.randn(2, 12, 14, 14))  # an image of 224 pixels
    assert {name: tuple(level.shape) for name, level in levels.items()} == {
        "stride4": (2, 8, 56, 56),
        "stride8": (2, 8, 28, 28),
        "stride16": (2, 8, 14, 14),
        "stride32": (2, 8, 7, 7),
        "stride64": (2, 8, 4, 4),  # rounded up
    }


def test_every_weight_learns_from_the_levels() -> None:
    pyramid = FeaturePyramid(12, 16, out_channels=8, strides=(4, 8, 16, 32))
    levels = pyramid(torch.randn(1, 12, 4, 4)).values()
    torch.cat([(level.square() * torch.rand_like(level)).flatten() for level in levels]).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pyramid.parameters())


def test_channels_of_each_cell_are_normalized_alone() -> None:
    pyramid = FeaturePyramid(6, 8, out_channels=16, strides=(8,))
    level = pyramid(5 + 100 * torch.randn(1, 6, 4, 4))["stride8"]
    torch.testing.assert_close(level.mean(dim=1), torch.zeros(1, 4, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(level.var(dim=1, correction=0), torch.ones(1, 4, 4), rtol=0, atol=1e-2)


@pytest.mark.parametrize("strides", [(), (16, 8), (8, 8), (12,), (24,)])
def test_strides_that_cannot_be_reached_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strides must"):
        FeaturePyramid(8, 16, strides=strides)


def test_an_odd_stride_is_not_halved() -> None:
    with pytest.raises(ValueError, match="power of two, got 8"):
        FeaturePyramid(8, 14, strides=(8, 14))
    assert FeaturePyramid(8, 14, out_channels=8, strides=(7, 14, 28)).strides == (7, 14, 28)
