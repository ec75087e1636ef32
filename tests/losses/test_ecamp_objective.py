# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from radbundles.losses import ECAMPObjective, MaskedImageLoss, RebalancedMLMLoss
from radbundles.networks import ECAMP

Batch = dict[str, torch.Tensor]


@pytest.fixture
def network() -> ECAMP:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "dim": 16,
        "depth": 1,
        "heads": 2,
        "decoder_dim": 16,
        "decoder_depth": 1,
        "decoder_heads": 2,
    }
    text: dict[str, Any] = {
        "text_dim": 16,
        "text_layers": 1,
        "text_heads": 2,
        "text_ffn": 16,
        "vocab_size": 30,
        "max_length": 16,
    }
    return ECAMP(image_size=64, **sizes, **text)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, 30, (2, 12), generator=generator)
    masked = torch.rand(2, 12, generator=generator) < 0.5
    return {
        "image": torch.randn(2, 3, 64, 64, generator=generator),
        "labels": labels,
        "input_ids": labels.masked_fill(masked, 3),
        "attention_mask": torch.ones_like(labels),
        "token_weights": torch.rand(2, 12, generator=generator),
        "masked": masked,
        "window": torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.25, 0.0, 1.0, 0.5]]),
        "noise": torch.rand(2, 4, generator=generator),
    }


def test_training_gives_the_three_losses_and_their_sum(network: ECAMP, batch: Batch) -> None:
    result = ECAMPObjective(network).train()(batch)
    assert set(result) == {"loss", "mim", "sr", "mlm"}
    torch.testing.assert_close(result["loss"], result["mim"] + result["sr"] + result["mlm"])


def test_weights_weigh_the_sum_and_not_the_parts(network: ECAMP, batch: Batch) -> None:
    network.eval()
    plain = ECAMPObjective(network).eval()(batch)
    weighted = ECAMPObjective(network, mim_weight=2.0, sr_weight=0.0, mlm_weight=0.5).eval()(batch)
    torch.testing.assert_close(weighted["loss"], 2 * plain["mim"] + 0.5 * plain["mlm"])
    assert all(torch.equal(weighted[key], plain[key]) for key in ("mim", "sr", "mlm"))


@pytest.mark.parametrize("positions", ["masked", "all"])
def test_evaluation_also_gives_the_outputs(network: ECAMP, batch: Batch, positions: Any) -> None:
    result = ECAMPObjective(network, mlm_loss=RebalancedMLMLoss(positions)).eval()(batch)
    assert result["logits"].shape == (int(batch["masked"].sum()), 30)
    assert result["target"].shape == result["reconstruction"].shape == (2, 3, 32, 32)
    assert result["super_resolution"].shape == (2, 3, 64, 64) and result["mask"].shape == (2, 4)


def test_both_ways_to_reach_the_masked_loss_agree(network: ECAMP, batch: Batch) -> None:
    network.eval()
    sparse = ECAMPObjective(network).eval()(batch)
    full = network(batch["image"], batch["input_ids"], batch["attention_mask"], noise=batch["noise"])
    mlm = RebalancedMLMLoss()(full["logits"], batch["labels"], batch["token_weights"], batch["masked"])
    torch.testing.assert_close(sparse["mlm"], mlm)


def test_vocabulary_head_sees_the_masked_positions_only(network: ECAMP, batch: Batch) -> None:
    seen: list[int] = []
    network.head.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[0]))
    ECAMPObjective(network)(batch)
    assert seen == [int(batch["masked"].sum())]


def test_fixed_noise_makes_evaluation_repeatable(network: ECAMP, batch: Batch) -> None:
    objective = ECAMPObjective(network).eval()
    assert torch.equal(objective(batch)["loss"], objective(batch)["loss"])


def test_a_few_steps_lower_every_loss(network: ECAMP, batch: Batch) -> None:
    torch.manual_seed(0)
    objective = ECAMPObjective(network).train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    before = {key: value.item() for key, value in objective(batch).items()}
    for _ in range(15):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    after = objective(batch)
    assert all(after[key].item() < before[key] for key in ("mim", "sr", "mlm"))


def test_patch_normalization_is_refused() -> None:
    with pytest.raises(ValueError, match="norm_pix=False"):
        ECAMPObjective(nn.Identity(), mim_loss=MaskedImageLoss(norm_pix=True))
