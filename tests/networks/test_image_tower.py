# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from radbundles.networks import ImageTower, ResNetEncoder


def test_cells_are_the_projected_features_in_their_places() -> None:
    torch.manual_seed(0)
    tower = ImageTower(nn.Conv2d(3, 5, 16, stride=16), dim=4, channels=5)
    image = torch.rand(2, 3, 32, 48)
    cells = tower(image)
    assert cells.shape == (2, 4, 2, 3)
    feature = tower.encoder(image)[1, :, 1, 2]
    torch.testing.assert_close(cells[1, :, 1, 2], tower.projection(feature))


def test_mean_of_cells_is_the_projection_of_the_mean_feature() -> None:
    tower = ImageTower(ResNetEncoder(18, widths=(4, 4, 4, 6), blocks=(1, 1, 1, 1)), dim=3).eval()
    image = torch.rand(2, 3, 64, 64)
    pooled = tower.encoder(image).mean((2, 3))
    torch.testing.assert_close(tower(image).mean((2, 3)), tower.projection(pooled))


def test_features_from_elsewhere_become_the_same_cells() -> None:
    tower = ImageTower(nn.Conv2d(3, 5, 16, stride=16), dim=4, channels=5, center=True)
    image = torch.rand(2, 3, 32, 48)
    assert torch.equal(tower.project(tower.encoder(image)), tower(image))


def test_cells_are_float32_under_autocast() -> None:
    tower = ImageTower(nn.Conv2d(3, 5, 16, stride=16), dim=4, channels=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tower(torch.rand(1, 3, 32, 32)).dtype == torch.float32


def test_encoder_that_does_not_tell_its_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="Sequential has no attribute out_channels: give channels"):
        ImageTower(nn.Sequential(nn.Conv2d(3, 5, 16)))


def test_features_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gave features of the shape \(1, 5, 2, 2\), \[B, 7, h, w\] is needed"):
        ImageTower(nn.Conv2d(3, 5, 16, stride=16), channels=7)(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"gave features of the shape \(1, 20\)"):
        ImageTower(nn.Flatten(), channels=20)(torch.rand(1, 5, 2, 2))


def test_centered_features_have_mean_0_and_variance_1() -> None:
    encoder = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
    tower = ImageTower(encoder, dim=6, channels=6, center=True)
    nn.init.eye_(tower.projection.weight)
    nn.init.zeros_(tower.projection.bias)
    images = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    cells = tower(images)
    torch.testing.assert_close(cells.mean((0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(cells.var((0, 2, 3), correction=0), torch.ones(6), atol=1e-2, rtol=0)


def test_centering_adds_no_parameters() -> None:
    plain, centered = (ImageTower(nn.Conv2d(1, 6, 3), channels=6, center=center) for center in (False, True))
    assert [name for name, _ in centered.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert list(plain.state_dict()) == [name for name, _ in plain.named_parameters()]
