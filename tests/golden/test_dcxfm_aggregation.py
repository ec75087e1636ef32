# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The cost aggregation against the official code, over every reference file there is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from radbundles.networks import CostAggregator, convert_aggregator, rename_aggregator_key

GOLDEN = Path(os.environ.get("RADBUNDLES_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))
FILES = sorted(GOLDEN.glob("dcxfm_?.npz"))
# Below it a gradient norm is what rounding leaves of a zero, such as that of the bias of keys under a softmax.
ROUNDING = 1e-7

pytestmark = pytest.mark.skipif(not FILES, reason="no dcxfm_?.npz: set RADBUNDLES_GOLDEN to the reference tensors")
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


class Reference(NamedTuple):
    aggregator: CostAggregator
    cells: torch.Tensor
    prompts: torch.Tensor
    guidance: list[torch.Tensor]
    logits: torch.Tensor
    meta: dict[str, Any]


def load(path: Path) -> Reference:
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))["agg"]
        arrays = {key.removeprefix("agg/"): torch.from_numpy(file[key]) for key in file.files if key.startswith("agg/")}
    state = {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}
    config = meta["config"]
    widths = list(config["decoder_guidance_proj_dims"])
    dims = list(config["decoder_guidance_dims"])
    aggregator = CostAggregator(
        dim=config["hidden_dim"],
        depth=config["num_layers"],
        heads=config["nheads"],
        window=config["window_size"],
        pooling=tuple(config["pooling_size"]),
        attention=config["attention_type"],
        prompt_channels=config["prompt_channel"],
        decoder_widths=config["decoder_dims"],
        text_dim=config["text_guidance_dim"],
        text_width=config["text_guidance_proj_dim"],
        appearance_dim=config["appearance_guidance_dim"],
        appearance_width=config["appearance_guidance_proj_dim"],
        decoder_dims=dims if dims[0] else (0, 0),
        decoder_guidance_widths=widths if dims[0] else (0, 0),
    ).eval()
    aggregator.load_state_dict(convert_aggregator(state))  # strict: each tensor has its place, and none is left
    guidance = [arrays[key] for key in sorted(arrays) if "guidance" in key and not key.startswith("sd/")]
    return Reference(aggregator, arrays["image_feats"], arrays["text_feats"], guidance, arrays["logits_stride2"], meta)


def same_norm(actual: torch.Tensor, expected: float) -> bool:
    norm = actual.norm().item()
    return norm < 10 * ROUNDING if expected < ROUNDING else norm == pytest.approx(expected, rel=1e-4)


@every_file
def test_logits_are_official(path: Path) -> None:
    golden = load(path)
    with torch.no_grad():
        logits = golden.aggregator(golden.cells, golden.prompts, golden.guidance)
    assert list(logits.shape) == golden.meta["logits_shape"]
    torch.testing.assert_close(logits[..., ::2, ::2], golden.logits, atol=1e-5, rtol=1e-5)


@every_file
def test_logits_are_official_class_by_class(path: Path) -> None:
    golden = load(path)
    golden.aggregator.class_chunk = 1
    with torch.no_grad():
        logits = golden.aggregator(golden.cells, golden.prompts, golden.guidance)
    torch.testing.assert_close(logits[..., ::2, ::2], golden.logits, atol=1e-5, rtol=1e-5)


@every_file
def test_gradients_are_official(path: Path) -> None:
    golden = load(path)
    inputs = golden.cells.requires_grad_(), golden.prompts.requires_grad_()
    golden.aggregator(golden.cells, golden.prompts, golden.guidance).square().mean().backward()
    for tensor, expected in zip(inputs, golden.meta["grad_norms"], strict=True):
        assert tensor.grad is not None and same_norm(tensor.grad, expected)
    parameters = dict(golden.aggregator.named_parameters())
    expected_norms = golden.meta.get("param_grad_norms") or {}
    wrong = {}
    for key, expected in expected_norms.items():
        name = rename_aggregator_key(key)
        assert name is not None, key
        gradient = parameters.pop(name).grad
        if (gradient is None) != (expected is None) or gradient is not None and not same_norm(gradient, expected):
            wrong[key] = (None if gradient is None else gradient.norm().item(), expected)
    assert not wrong
    assert not expected_norms or not parameters  # the file names them all
