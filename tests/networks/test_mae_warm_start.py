# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from radbundles.networks import ECAMP, load_mae_warm_start


def mae(network: ECAMP) -> dict[str, torch.Tensor]:
    """A whole MAE with one more decoder block than ECAMP, all values 3."""
    state = {key.removeprefix("encoder."): value for key, value in network.encoder.state_dict().items()}
    for key, value in network.decoder.state_dict().items():
        name = key if key == "mask_token" else f"decoder_{key}"
        state[name] = value
        if key.startswith("blocks.0."):
            state[name.replace("blocks.0", "blocks.1")] = value
    return {key: torch.full_like(value, 3.0) for key, value in state.items()}


def test_encoder_and_the_first_decoder_blocks_are_loaded(network: ECAMP, tmp_path: Path) -> None:
    torch.save({"model": mae(network)}, tmp_path / "mae.pth")
    before = network.head.decoder.weight.clone()
    report = load_mae_warm_start(network, tmp_path / "mae.pth")
    for part in (network.encoder, network.decoder):
        assert all((value == 3).all() for value in part.state_dict().values())
    assert torch.equal(network.head.decoder.weight, before)
    assert len(report["skipped"]) == 12 and all(key.startswith("decoder_blocks.1.") for key in report["skipped"])
    assert "head.decoder.weight" in report["untouched"] and "pos_embed" in report["loaded"]


def test_file_without_a_decoder_leaves_the_decoder(network: ECAMP, tmp_path: Path) -> None:
    state = {key: value for key, value in mae(network).items() if "decoder" not in key and key != "mask_token"}
    torch.save({"model": state}, tmp_path / "mae.pth")
    before = network.decoder.embed.weight.clone()
    report = load_mae_warm_start(network, tmp_path / "mae.pth")
    assert report["skipped"] == [] and torch.equal(network.decoder.embed.weight, before)


@pytest.mark.parametrize("fault", ["shape", "missing"])
def test_fault_is_named_and_nothing_is_changed(network: ECAMP, tmp_path: Path, fault: str) -> None:
    state = mae(network)
    if fault == "shape":
        state["norm.bias"] = torch.zeros(7)
    else:
        del state["norm.bias"]
    torch.save({"model": state}, tmp_path / "mae.pth")
    before = network.encoder.cls_token.clone()
    with pytest.raises(ValueError, match="norm.bias"):
        load_mae_warm_start(network, tmp_path / "mae.pth")
    assert torch.equal(network.encoder.cls_token, before)
