# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of stage 1, at sizes of no importance."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from radbundles.components.benchmarks.dcxfm_step import CROPS, made_up_batch, measure

CROPS_SMALL = {"image_global": (2, 64), "image_local": (4, 32)}


@pytest.fixture(autouse=True)
def rate_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known, and therefore not measured again in every test."""
    monkeypatch.setattr("radbundles.components.benchmarks.dcxfm_step.matmul_rate", lambda *_: 100.0)


def run(**options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "batch_size": 2,
        "steps": 2,
        "warm_up": 0,
        "image": {"widths": (4, 4, 4, 4), "blocks": (1, 1, 1, 1), "depth": 18},
        "text": {"vocab_size": 50, "dim": 16, "layers": 1, "heads": 2},
        "crops": CROPS_SMALL,
    }
    return measure(**settings | options)


def test_batch_has_the_published_sizes() -> None:
    batch = made_up_batch(batch_size=2, vocab_size=100)
    assert CROPS == {"image_global": (2, 512), "image_local": (4, 224)}
    assert batch["image_global"].shape == (2, 2, 3, 512, 512) and batch["image_local"].shape == (2, 4, 3, 224, 224)
    lengths = batch["attention_mask"].sum(1)
    assert batch["input_ids"].shape[1] == lengths.max() and 8 <= lengths.min() and lengths.max() <= 45
    assert torch.equal(batch["word_mask"].sum(1), lengths - 2) and not batch["word_mask"][:, 0].any()


def test_figures_fit_each_other() -> None:
    figures = run()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["images_per_second"] == pytest.approx(2 / figures["seconds_per_step"], rel=0.05)
    assert figures["fastest_seconds"] <= figures["seconds_per_step"]
    share = figures["gflop_per_step"] / figures["seconds_per_step"] / 100
    assert figures["share_of_matmul_rate"] == pytest.approx(share, abs=0.002)
    assert figures["peak_gib"] > 0.05 and len(figures["losses"]) == 2


def test_a_text_layer_adds_its_flops() -> None:
    def figures(layers: int) -> dict[str, Any]:
        return run(text={"vocab_size": 50, "dim": 256, "layers": layers, "heads": 2}, steps=1)

    # A layer of width d has 12 d^2 weights; each costs 2 a token forward and 4 backward.
    tokens = 2 * made_up_batch(batch_size=2, vocab_size=50, crops=CROPS_SMALL)["input_ids"].shape[1]
    added = figures(3)["gflop_per_step"] - figures(1)["gflop_per_step"]
    assert added == pytest.approx(2 * 6 * 12 * 256**2 * tokens / 1e9, rel=0.05)


def test_recomputed_stages_are_counted() -> None:
    assert run(recompute_stages=1)["gflop_per_step"] > run(recompute_stages=0)["gflop_per_step"]


def test_bfloat16_runs_by_autocast_and_the_profile_is_added() -> None:
    figures = run(dtype=torch.bfloat16, profile=True, steps=1)
    assert figures["dtype"] == "bfloat16" and "aten::convolution_backward" in figures["profile"]
