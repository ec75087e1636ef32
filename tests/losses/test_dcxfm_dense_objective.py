# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer

from radbundles.components.engines import ClipGradients, WarmupCosine, loss_of, move_batch, parameter_groups
from radbundles.components.zero_shot import ClassPrompts, PromptTable
from radbundles.losses import DCXFMDenseObjective, DenseLoss
from radbundles.networks import DCXFM, CostAggregator, DCXFMDense, ImageTower, ResNetEncoder, TextTower, build_bert
from radbundles.transforms import build_report_tokenizer
from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS

Batch = dict[str, torch.Tensor]
WORDS = ("left", "right", "lung", "heart", "there", "is", "a", "the")
CLASSES = ("Left lung", "Right lung", "Heart")
TABLE = {
    "name": "test",
    "style": "plain",
    "styles": {"plain": {"positive": ["there is {term}"], "negative": []}},
    "classes": {
        "Left lung": {"terms": ["a left lung", "the left lung"]},
        "Right lung": {"terms": ["a right lung", "the right lung"]},
        "Heart": {"terms": ["a heart"]},
    },
}


@pytest.fixture
def network() -> DCXFMDense:
    torch.manual_seed(0)
    vocabulary = len(SPECIAL_TOKENS) + len(WORDS)
    towers = DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 6, 8, 10), blocks=(1, 1, 1, 1)), dim=8),
        TextTower(build_bert(vocab_size=vocabulary, dim=16, layers=1, heads=2, ffn=16, dropout=0.5), dim=8),
    )
    return DCXFMDense(towers, CostAggregator(dim=16, heads=2, window=4, prompt_channels=2, decoder_widths=(16, 16)))


def objective(network: DCXFMDense, *, train_text: bool = False) -> DCXFMDenseObjective:
    tokenizer = build_report_tokenizer({piece: place for place, piece in enumerate([*SPECIAL_TOKENS, *WORDS])})
    prompts = ClassPrompts(
        network, classes=CLASSES, tokenizer=tokenizer, prompts=PromptTable(TABLE), channels=2, train_text=train_text
    )
    return DCXFMDenseObjective(network, prompts=prompts, train_text=train_text)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 3, 128, 128, dtype=torch.uint8)
    masks[0, 0, 30:90, 10:50] = 1
    masks[0, 1, 30:90, 70:110] = 1
    masks[1, 2, 60:100, 40:90] = 1
    image = torch.rand(2, 1, 128, 128, generator=generator) * 0.2 + masks.amax(1, keepdim=True) * 0.6
    return {
        "image": image.expand(-1, 3, -1, -1).contiguous(),
        "masks": masks,
        "labels": torch.tensor([[1, 1, -1], [-1, 0, 1]]),
    }


def test_losses_are_those_of_the_networks_logits(network: DCXFMDense, batch: Batch) -> None:
    trained = objective(network).eval()
    with torch.no_grad():
        result = trained(batch)
        logits = network(batch["image"], trained.prompts())
    assert set(result) == {"loss", "dice", "focal", "logits"}
    assert torch.equal(result["logits"], logits) and logits.shape == (2, 3, 128, 128)
    expected = DenseLoss()(logits, batch["masks"], batch["labels"])
    assert all(torch.equal(result[name], expected[name]) for name in expected)
    assert set(trained.train()(batch)) == {"loss", "dice", "focal"}


def test_the_text_tower_is_frozen_and_stays_in_eval_mode(network: DCXFMDense, batch: Batch) -> None:
    trained = objective(network).train()
    assert not any(module.training for module in network.text.modules())
    assert network.image.training and network.aggregator.training
    before = network.image.encoder.get_buffer("bn1.running_mean").clone()
    trained(batch)["loss"].backward()
    assert all(not p.requires_grad and p.grad is None for p in network.text.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.image.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.aggregator.parameters())
    assert not torch.equal(network.image.encoder.get_buffer("bn1.running_mean"), before)


def train(trained: DCXFMDenseObjective, batch: Batch, steps: int) -> list[float]:
    """Losses of a run of MONAI's trainer as the bundle makes it, with a validation after every second step."""
    network = trained.network
    optimizer = torch.optim.AdamW(parameter_groups(network, learning_rate=5e-3, encoder_multiplier=0.1))
    losses: list[float] = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=[batch], network=trained, prepare_batch=move_batch, decollate=False
    )
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=steps // 2,
        train_data_loader=[batch, batch],
        network=trained,
        optimizer=optimizer,
        loss_function=loss_of,
        prepare_batch=move_batch,
        decollate=False,
        train_handlers=[
            WarmupCosine(optimizer, warmup_epochs=0, total_epochs=1, shape="constant"),
            ClipGradients(trained.parameters(), 1.0),
        ],
    )
    trainer.add_event_handler("ITERATION_COMPLETED", lambda engine: losses.append(engine.state.output["loss"].item()))
    trainer.add_event_handler("EPOCH_COMPLETED", lambda: evaluator.run())
    trainer.run()
    return losses


def test_training_encodes_the_prompts_once_in_total_and_learns(network: DCXFMDense, batch: Batch) -> None:
    calls: list[int] = []
    network.text.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    losses = train(objective(network), batch, 20)
    assert calls == [5]
    assert losses[-1] < 0.8 * losses[0]


def test_prompts_follow_a_text_tower_that_is_trained(network: DCXFMDense, batch: Batch) -> None:
    calls: list[bool] = []
    network.text.register_forward_hook(lambda *_: calls.append(network.text.training))
    before = network.text.projection.weight.clone()
    trained = objective(network, train_text=True)
    train(trained, batch, 4)
    # Every step in train mode, and each validation once in eval mode, since the weights have changed.
    assert calls == [True, True, False, True, True, False]
    assert not torch.equal(network.text.projection.weight, before)
    trained(batch)["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.text.projection.parameters())


def test_prompts_without_gradient_for_a_text_tower_to_be_trained_are_an_error(
    network: DCXFMDense, batch: Batch
) -> None:
    prompts = torch.nn.functional.normalize(torch.randn(3, 2, 8), dim=2)
    trained = DCXFMDenseObjective(network, prompts=lambda: prompts, train_text=True)
    with pytest.raises(RuntimeError, match="train_text=True"):
        trained(batch)
    with torch.no_grad():
        assert trained(batch)["loss"].isfinite()


def test_a_batch_in_which_nothing_is_known_moves_nothing(network: DCXFMDense, batch: Batch) -> None:
    trained = objective(network).train()
    result = trained(batch | {"labels": torch.full((2, 3), -1)})
    result["loss"].backward()
    assert result["loss"] == 0
    # A gradient of zero, not none: processes that train together wait for each other's.
    learning = [*network.image.parameters(), *network.aggregator.parameters()]
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in learning)


def test_losses_are_float32_under_bfloat16_autocast(network: DCXFMDense, batch: Batch) -> None:
    trained = objective(network).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = trained(batch)
    result["loss"].backward()
    assert {value.dtype for value in result.values()} == {torch.float32}
    torch.testing.assert_close(result["loss"], trained(batch)["loss"], rtol=0.05, atol=0.02)


def test_state_holds_the_network_and_nothing_else(network: DCXFMDense) -> None:
    assert objective(network).state_dict().keys() == {f"network.{key}" for key in network.state_dict()}
