# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.networks import ECAMP, ECAMPFeatures


def test_map_holds_the_patches_of_the_whole_network_in_grid_order(network: ECAMP) -> None:
    features = ECAMPFeatures.from_ecamp(network)
    image = torch.randn(2, 3, 128, 128)
    maps = features(network.halve(image))
    assert maps.shape == (2, 24, 4, 4)
    patches = network.encode(image)["patches"]
    torch.testing.assert_close(maps[1, :, 2, 3], patches[1, 2 * 4 + 3])


def test_state_dict_is_the_part_under_the_prefix(network: ECAMP) -> None:
    features = ECAMPFeatures.from_ecamp(network)
    part = {key for key in network.state_dict() if key.startswith(ECAMPFeatures.PREFIX)}
    assert set(features.state_dict()) == part


def test_other_image_size_gets_a_resized_position_table(network: ECAMP) -> None:
    features = ECAMPFeatures.from_ecamp(network, image_size=96)
    assert features(torch.randn(1, 3, 96, 96)).shape == (1, 24, 6, 6)
    assert torch.equal(features.encoder.pos_embed[:, 0], network.encoder.pos_embed[:, 0])
    assert torch.equal(features.encoder.cls_token, network.encoder.cls_token)


def test_copy_does_not_change_with_the_network(network: ECAMP) -> None:
    features = ECAMPFeatures.from_ecamp(network)
    before = features.encoder.cls_token.clone()
    with torch.no_grad():
        network.encoder.cls_token.add_(1.0)
    assert torch.equal(features.encoder.cls_token, before)


def test_state_dict_without_an_encoder_is_refused() -> None:
    with pytest.raises(KeyError, match="encoder."):
        ECAMPFeatures(image_size=32, dim=8, depth=1, heads=1).subset({"decoder.norm.weight": torch.zeros(8)})


def test_exported_program_gives_the_same_map_for_any_batch(network: ECAMP) -> None:
    features = ECAMPFeatures.from_ecamp(network).eval()
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(features, (torch.randn(2, 3, 64, 64),), dynamic_shapes={"image": {0: batch}})
    image = torch.randn(5, 3, 64, 64)
    torch.testing.assert_close(program.module()(image), features(image))
