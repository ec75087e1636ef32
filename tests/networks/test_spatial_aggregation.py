# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from radbundles.networks import SpatialAggregation


def aggregation(**options: int) -> SpatialAggregation:
    torch.manual_seed(0)
    return SpatialAggregation(8, heads=2, window=4, **options)


def test_second_block_sees_across_the_edges_of_the_first_ones_windows() -> None:
    module = aggregation()
    x = torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[:, 0, 3, 3] += 1
    reached = (module(changed) - module(x)).abs().amax((0, 1)) > 1e-7
    # The first window, rows and columns 0 to 3, and what shares a shifted one with it: 0 to 1 and 2 to 5.
    assert reached[:6, :6].all() and not reached[6:].any() and not reached[:, 6:].any()


def test_maps_do_not_see_each_other() -> None:
    module = aggregation()
    x = torch.randn(3, 8, 6, 6)
    torch.testing.assert_close(module(x)[1], module(x[1:2])[0])


def test_appearance_of_an_image_guides_all_of_its_maps() -> None:
    module = aggregation(appearance_dim=5)
    x, guidance = torch.randn(6, 8, 6, 6), torch.randn(2, 5, 6, 6)
    each = module(x, guidance.repeat_interleave(3, 0))
    torch.testing.assert_close(module(x, guidance), each)
    assert (each - module(x, guidance.flip(0).repeat_interleave(3, 0))).abs().max() > 1e-4


def test_scale_of_the_appearance_does_not_matter() -> None:
    module = aggregation(appearance_dim=5)
    x, guidance = torch.randn(2, 8, 6, 6), 10 * torch.randn(2, 5, 6, 6)
    torch.testing.assert_close(module(x, guidance), module(x, 3 * guidance + 1), atol=1e-4, rtol=1e-4)


def test_memory_layout_does_not_matter() -> None:
    module, x = aggregation(), torch.randn(2, 8, 6, 6)
    rows = module(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(module(x), rows)
    assert rows.is_contiguous(memory_format=torch.channels_last)
