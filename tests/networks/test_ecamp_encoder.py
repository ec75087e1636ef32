# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import ECAMP, ECAMPEncoder, EncoderClassifier


def test_map_of_an_image_holds_the_patches_of_the_network_in_grid_order(network: ECAMP) -> None:
    encoder = ECAMPEncoder(network).eval()
    image = torch.randn(2, 3, 128, 128)
    maps = encoder(image)
    assert maps.shape == (2, encoder.out_channels, 128 // encoder.stride, 128 // encoder.stride)
    torch.testing.assert_close(maps.flatten(2).transpose(1, 2), network.encode(image)["patches"])


def test_a_head_on_it_trains_the_network_itself(network: ECAMP) -> None:
    classifier = EncoderClassifier(ECAMPEncoder(network), 2)
    classifier(torch.randn(1, 3, 128, 128)).sum().backward()
    assert network.encoder.patch_embed.proj.weight.grad is not None
    assert network.decoder.norm.weight.grad is None


def test_images_of_another_size_than_that_of_the_network_are_refused(network: ECAMP) -> None:
    with pytest.raises(ValueError, match=r"expected an image \[B, 3, 128, 128\], got \(1, 3, 64, 64\)"):
        ECAMPEncoder(network)(torch.randn(1, 3, 64, 64))
