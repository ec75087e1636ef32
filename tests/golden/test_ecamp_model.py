# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The network, its losses and their gradients against the official code, over every reference file there is."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from radbundles.losses import ECAMPObjective, RebalancedMLMLoss
from radbundles.networks import ECAMP, convert_ecamp_checkpoint
from radbundles.networks.ecamp_checkpoint import rename_ecamp_key

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
FILES = sorted(GOLDEN.glob("ecamp_*.npz"))
# Two keys of one parameter (quirk Q19).
TWIN = {"bert_encoder.model.cls.predictions.bias": "bert_encoder.model.cls.predictions.decoder.bias"}

pytestmark = pytest.mark.skipif(not FILES, reason="no ecamp_*.npz: set RADBUNDLES_GOLDEN to the reference tensors")
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


class Replay(NamedTuple):
    """What the official code got and gave, and what ours gives on the same."""

    meta: dict[str, Any]
    expected: dict[str, torch.Tensor]
    network: ECAMP
    outputs: dict[str, torch.Tensor]
    losses: dict[str, torch.Tensor]


@cache
def replay(path: Path) -> Replay:
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta"}
    state_dict = {key[3:]: tensor for key, tensor in arrays.items() if key.startswith("sd/")}
    converted, report = convert_ecamp_checkpoint(
        state_dict,
        heads=meta["vision"]["num_heads"],
        decoder_heads=meta["vision"]["decoder_num_heads"],
        text_heads=meta["text"]["num_attention_heads"],
    )
    network = ECAMP(**report["config"])
    network.load_state_dict(converted)
    objective = ECAMPObjective(network, mlm_loss=RebalancedMLMLoss("all")).eval()

    def given(name: str) -> torch.Tensor:
        return arrays[f"in/{name}"]

    normalize = re.search(r"\(u8/255 - ([\d.]+)\)/([\d.]+), repeated to 3 channels", meta["normalise"])
    assert normalize, f"unknown normalization {meta['normalise']!r}"
    mean, std = (float(number) for number in normalize.groups())
    cells = network.encoder.grid[0]
    row, column = given("window_row").float(), given("window_col").float()
    batch = {
        "image": ((given("image_u8").float() / 255 - mean) / std)[:, None].repeat(1, 3, 1, 1),
        "input_ids": given("ids"),
        "labels": given("labels"),
        "attention_mask": given("attention_mask"),
        "token_weights": given("weights"),
        "masked": given("ids") != given("labels"),
        # The official window is always 12 cells wide; slicing cuts it off at the border.
        "window": (torch.stack([row, column, row + 12, column + 12], dim=1) / cells).clamp(max=1),
        "noise": given("noise"),
    }
    losses = objective(batch)
    losses["loss"].backward()
    with torch.no_grad():
        outputs = network(batch["image"], batch["input_ids"], batch["attention_mask"], noise=batch["noise"])
    expected = {key[4:]: tensor for key, tensor in arrays.items() if key.startswith("out/")}
    return Replay(meta, expected, network, outputs, losses)


def stride(expected: dict[str, torch.Tensor], name: str) -> tuple[torch.Tensor, int]:
    """Find ``<name>_stride<n>`` among the reference tensors."""
    key = next(key for key in expected if re.fullmatch(rf"{name}_stride\d+", key))
    return expected[key], int(key.rsplit("_stride", 1)[1])


def assert_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@every_file
def test_halved_image_is_official(path: Path) -> None:
    result = replay(path)
    assert_near(result.outputs["target"], result.expected["image_224"][:, None].expand_as(result.outputs["target"]))


@every_file
@pytest.mark.parametrize("name", ["latent", "mask"])
def test_encoder_output_is_official(path: Path, name: str) -> None:
    result = replay(path)
    assert_near(result.outputs[name], result.expected[name])


@every_file
@pytest.mark.parametrize("name", ["reconstruction", "super_resolved"])
def test_image_output_is_official(path: Path, name: str) -> None:
    result = replay(path)
    expected, step = stride(result.expected, name)
    actual = result.outputs["super_resolution" if name == "super_resolved" else name]
    assert_near(actual[:, :, ::step, ::step], expected)


@every_file
def test_logits_are_official(path: Path) -> None:
    result = replay(path)
    expected, step = stride(result.expected, "logits")
    assert_near(result.outputs["logits"][:, ::step], expected)


@every_file
def test_three_losses_are_official(path: Path) -> None:
    result = replay(path)
    actual = torch.stack([result.losses[key] for key in ("mim", "sr", "mlm")]).double()
    torch.testing.assert_close(actual.detach(), result.expected["losses"].double(), rtol=1e-5, atol=1e-5)


@every_file
def test_every_gradient_norm_is_official(path: Path) -> None:
    result = replay(path)
    parameters = dict(result.network.named_parameters())
    checked = set()
    for key, norm in result.meta["grad_norms"].items():
        ours = rename_ecamp_key(TWIN.get(key, key))
        if norm is None:
            assert ours is None or parameters[ours].grad is None, f"{key} must have no gradient"
            continue
        assert ours is not None, f"{key} has a gradient but was dropped"
        gradient = parameters[ours].grad
        assert gradient is not None, f"{key} must have a gradient"
        # The gradient of an attention key bias is zero but for rounding.
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6), key
        checked.add(ours)
    assert checked == {name for name, parameter in parameters.items() if parameter.requires_grad}
