# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from radbundles.networks import MaskedViTEncoder, ViTEncoder

SIZES: dict[str, Any] = {"image_size": 64, "patch_size": 16, "dim": 24, "depth": 3, "heads": 3}


def encoder(**options: Any) -> ViTEncoder:
    torch.manual_seed(0)
    return ViTEncoder(**{**SIZES, **options})


def test_features_are_the_patches_of_the_pretraining_encoder() -> None:
    torch.manual_seed(1)
    source = MaskedViTEncoder(**SIZES).eval()
    image = torch.randn(2, 3, 64, 64)
    tuned = encoder(norm=True).eval()
    tuned.load_state_dict(source.state_dict())
    expected = source(image)[:, 1:]
    torch.testing.assert_close(tuned(image).flatten(2).transpose(1, 2), expected)
    raw = encoder().eval()
    raw.load_state_dict({key: value for key, value in source.state_dict().items() if not key.startswith("norm.")})
    torch.testing.assert_close(source.norm(raw(image).movedim(1, -1)).flatten(1, 2), expected)


def test_cells_lie_in_rows_and_columns() -> None:
    network = encoder(depth=1).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # branches of nothing: a cell is its patch and position
            if "attn.proj." in name or "mlp.fc2." in name:
                parameter.zero_()
        image = torch.zeros(1, 3, 64, 64)
        image[:, :, 16:32, 48:] = 1
        difference = (network(image) - network(torch.zeros_like(image))).abs().sum(1)[0]
    assert difference.nonzero().tolist() == [[1, 3]]


def test_hidden_gives_the_maps_after_blocks_in_the_order_asked() -> None:
    network = encoder(norm=True).eval()
    image = torch.randn(1, 3, 64, 64)
    last, first, again = network.hidden(image, [3, 1, 1])
    torch.testing.assert_close(last, network(image))
    assert torch.equal(first, again)
    shallow = encoder(depth=1).eval()
    shallow.load_state_dict({key: network.state_dict()[key] for key in shallow.state_dict()})
    torch.testing.assert_close(first, shallow(image))


def test_every_parameter_is_trained_the_position_table_too() -> None:
    for network in (encoder(), encoder(norm=True), encoder(depth=1)):
        network(torch.randn(2, 3, 64, 64)).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
        assert hasattr(network, "norm") == ("norm.weight" in network.state_dict())


def test_drop_path_grows_over_the_blocks_and_is_off_in_evaluation() -> None:
    network = encoder(drop_path=0.4)
    blocks: Any = network.blocks
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks]
    assert rates == pytest.approx([0, 0.2, 0.4])
    image = torch.randn(1, 3, 64, 64).expand(16, -1, -1, -1)
    assert network(image).std(0).max() > 1e-3
    network.eval()
    torch.testing.assert_close(network(image[:1]), encoder().eval()(image[:1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 65}, "65 is not a multiple of patch_size 16"),
        ({"depth": 0}, "depth must be 1 or more"),
        ({"drop_path": 1.0}, r"drop_path must lie in \[0, 1\), got 1.0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(**options)


def test_wrong_images_and_layers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, 3, 64, 64\], got \(1, 1, 64, 64\)"):
        encoder()(torch.zeros(1, 1, 64, 64))
    with pytest.raises(ValueError, match=r"from 1 to 3, got \[0, 4\]"):
        encoder().hidden(torch.zeros(1, 3, 64, 64), [0, 3, 4])


def test_exports_with_a_free_batch_and_runs_in_bfloat16() -> None:
    network = encoder(in_channels=1, norm=True).eval()
    image = torch.randn(3, 1, 64, 64)
    program = torch.export.export(network, (image[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(image), network(image))
    with torch.autocast("cpu", torch.bfloat16):
        half = network(image)
    torch.testing.assert_close(half.float(), network(image), atol=0.1, rtol=0.1)
