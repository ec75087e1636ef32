# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from radbundles.components.zero_shot import cosine_maps, pool_cells, share_maps, smooth_maps


def test_a_map_holds_the_cosine_of_each_cell() -> None:
    cells = torch.tensor([[3.0, 4.0], [0.0, -2.0]]).T.reshape(1, 2, 1, 2)  # cells (3, 4) and (0, -2)
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    expected = torch.tensor([[0.6, 0.0], [0.8, -1.0], [0.7, -0.5]]).reshape(1, 3, 1, 2)
    torch.testing.assert_close(cosine_maps(cells, texts), expected)


def test_a_mean_text_gives_the_mean_of_the_maps() -> None:
    torch.manual_seed(0)
    cells = torch.randn(2, 8, 4, 5)
    texts = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    mean = cosine_maps(cells, texts).mean(1, keepdim=True)
    torch.testing.assert_close(cosine_maps(cells, texts.mean(0, keepdim=True)), mean)


def test_a_whole_image_is_the_normalized_mean_of_its_cells() -> None:
    cells = torch.tensor([[6.0, 0.0], [0.0, 8.0]]).T.reshape(1, 2, 1, 2)
    torch.testing.assert_close(pool_cells(cells), torch.tensor([[0.6, 0.8]]))


def test_zero_cells_are_similar_to_nothing() -> None:
    cells = torch.zeros(1, 2, 2, 2)
    assert cosine_maps(cells, torch.ones(1, 2)).abs().max() == 0
    assert pool_cells(cells).abs().max() == 0


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("shape", [(16, 16), (7, 3), (1, 5)])
def test_smoothing_is_that_of_scipy(sigma: float, shape: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, *shape)).astype(np.float32)
    expected = gaussian_filter(maps.astype(np.float64), (0, 0, sigma, sigma), mode="reflect", truncate=4.0)
    np.testing.assert_allclose(smooth_maps(torch.from_numpy(maps), sigma).numpy(), expected, atol=1e-6)


def test_no_smoothing_leaves_maps_as_they_are() -> None:
    maps = torch.rand(1, 1, 4, 4)
    assert torch.equal(smooth_maps(maps, 0), maps)
    with pytest.raises(ValueError, match="sigma"):
        smooth_maps(maps, -1)


def test_maps_are_float32_under_autocast_and_smoothing_keeps_gradients() -> None:
    cells = torch.randn(1, 4, 4, 4, requires_grad=True)
    with torch.inference_mode():
        smooth_maps(torch.rand(4, 4), 1.25)  # fills the cache of matrices
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = smooth_maps(cosine_maps(cells, torch.eye(4)), 1.25)
    assert maps.dtype == torch.float32
    maps.sum().backward()
    assert cells.grad is not None


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"texts \[N, D\], got \(1, 4, 2, 2\) and \(1, 3\)"):
        cosine_maps(torch.zeros(1, 4, 2, 2), torch.zeros(1, 3))


def test_shares_average_to_the_similarity_of_the_image_and_count_length() -> None:
    generator = torch.Generator().manual_seed(5)
    cells = torch.randn(2, 6, 3, 4, generator=generator) * torch.rand(2, 1, 3, 4, generator=generator)
    texts = torch.nn.functional.normalize(torch.randn(3, 6, generator=generator), dim=1)
    shares = share_maps(cells, texts)
    torch.testing.assert_close(shares.mean((2, 3)), pool_cells(cells) @ texts.T)
    torch.testing.assert_close(share_maps(7 * cells, texts), shares)
    faint = cells.clone()
    faint[:, :, 0, 0] *= 1e-6
    assert share_maps(faint, texts)[:, :, 0, 0].abs().max() < 1e-4 < cosine_maps(faint, texts)[:, :, 0, 0].abs().min()
