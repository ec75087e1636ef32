# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from radbundles.losses import SoftContrastLoss

Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

GLOBAL_BATCH = """
from radbundles.losses import SoftContrastLoss
generator = torch.Generator().manual_seed(0)
image, text = (torch.randn(6, 5, generator=generator) for _ in range(2))
image_labels, text_labels = (torch.randint(-1, 2, (6, 4), generator=generator).float() for _ in range(2))
tower = torch.nn.Linear(5, 5)
with torch.no_grad():
    tower.weight.copy_(torch.randn(5, 5, generator=generator))
    tower.bias.zero_()
"""
TWO = """
own = slice(3 * rank, 3 * rank + 3)
wrapped = torch.nn.parallel.DistributedDataParallel(tower)
for targets in ("labels", "identity"):
    tower.zero_grad()
    images, texts = wrapped(torch.stack([image[own], text[own]]))
    loss = SoftContrastLoss(targets=targets, gather=True)(images, texts, image_labels[own], text_labels[own])
    loss.backward()
    result[targets] = {"loss": loss.detach(), "gradient": tower.weight.grad.clone()}
result["alone"] = SoftContrastLoss()(image[own], text[own], image_labels[own], text_labels[own])
"""


@pytest.fixture
def inputs() -> Inputs:
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(6, 5, generator=generator).requires_grad_() for _ in range(2))
    image_labels, text_labels = (torch.randint(-1, 2, (6, 4), generator=generator).float() for _ in range(2))
    return image, text, image_labels, text_labels


def test_two_pairs_by_hand() -> None:
    # Cosines: 1 and 0.6 in the first row, 0 and 0.8 in the second; temperature 1.
    image, text = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0], [0.6, 0.8]])
    logits = [[1.0, 0.6], [0.0, 0.8]]
    # Labels agree by 1 on the diagonal and by -1 beside it: softmax of (1, -1) / 2.
    labels = torch.tensor([[1.0], [-1.0]])
    high = 1 / (1 + math.exp(-1.0))

    def cross_entropy(own: float, other: float) -> float:
        total = math.log(math.exp(own) + math.exp(other))
        return high * (total - own) + (1 - high) * (total - other)

    rows = (cross_entropy(logits[0][0], logits[0][1]) + cross_entropy(logits[1][1], logits[1][0])) / 2
    columns = (cross_entropy(logits[0][0], logits[1][0]) + cross_entropy(logits[1][1], logits[0][1])) / 2
    loss = SoftContrastLoss(temperature=1.0, label_temperature=2.0)(image, text, labels, labels)
    assert loss.item() == pytest.approx((rows + columns) / 2, rel=1e-6)


def test_identity_targets_are_infonce(inputs: Inputs) -> None:
    image, text, *_ = inputs
    logits = F.cosine_similarity(image[:, None], text[None], dim=2) / 0.07
    own = torch.arange(6)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(SoftContrastLoss(targets="identity")(image, text), expected)


def test_labels_that_agree_with_their_own_alone_come_close_to_infonce(inputs: Inputs) -> None:
    image, text, *_ = inputs
    labels = 20 * torch.eye(6)
    torch.testing.assert_close(
        SoftContrastLoss()(image, text, labels, labels), SoftContrastLoss(targets="identity")(image, text)
    )


def test_clamp_makes_disagreement_equal_to_no_agreement(inputs: Inputs) -> None:
    image, text = inputs[0][:2], inputs[1][:2]
    opposed, unrelated = torch.tensor([[1.0], [-1.0]]), torch.eye(2)
    clamped = SoftContrastLoss(clamp=True)(image, text, opposed, opposed)
    torch.testing.assert_close(clamped, SoftContrastLoss()(image, text, unrelated, unrelated))
    assert not torch.isclose(clamped, SoftContrastLoss()(image, text, opposed, opposed))


def test_double_is_the_float64_loss(inputs: Inputs) -> None:
    single, double = SoftContrastLoss()(*inputs), SoftContrastLoss(double=True)(*inputs)
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    assert torch.equal(double, SoftContrastLoss()(*(tensor.double() for tensor in inputs)))
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-6)


def test_loss_is_float32_under_bfloat16_autocast(inputs: Inputs) -> None:
    expected = SoftContrastLoss()(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = SoftContrastLoss()(*inputs)
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    halves = tuple(tensor.detach().bfloat16() for tensor in inputs)
    assert SoftContrastLoss()(*halves).dtype == torch.float32


def test_gather_gives_loss_and_gradients_of_the_whole_batch(two_processes: Callable[[str], list[Any]]) -> None:
    results = two_processes(GLOBAL_BATCH + TWO)
    whole: dict[str, Any] = {}
    exec("import torch" + GLOBAL_BATCH, whole)
    for targets in ("labels", "identity"):
        whole["tower"].zero_grad()
        images, texts = whole["tower"](torch.stack([whole["image"], whole["text"]]))
        loss = SoftContrastLoss(targets=targets)(images, texts, whole["image_labels"], whole["text_labels"])
        loss.backward()
        mean = (results[0][targets]["loss"] + results[1][targets]["loss"]) / 2
        torch.testing.assert_close(mean, loss.detach())
        for result in results:
            torch.testing.assert_close(result[targets]["gradient"], whole["tower"].weight.grad)
    # Without gather a process knows its own pairs only.
    first = [whole[key][:3] for key in ("image", "text", "image_labels", "text_labels")]
    torch.testing.assert_close(results[0]["alone"], SoftContrastLoss()(*first))


def test_gather_without_other_processes_changes_nothing(inputs: Inputs) -> None:
    assert torch.equal(SoftContrastLoss(gather=True)(*inputs), SoftContrastLoss()(*inputs))


@pytest.mark.parametrize(("given", "named"), [((0,), "image_labels"), ((2, 0), "text_labels")])
def test_missing_labels_are_named(inputs: Inputs, given: tuple[int, ...], named: str) -> None:
    image, text, labels, _ = inputs
    arguments = [labels if number else None for number in given]
    with pytest.raises(ValueError, match=f'needs {named}.*targets="identity"'):
        SoftContrastLoss()(image, text, *arguments)


def test_senseless_arguments_are_refused(inputs: Inputs) -> None:
    image, text, image_labels, text_labels = inputs
    with pytest.raises(ValueError, match="positive"):
        SoftContrastLoss(label_temperature=0.0)
    with pytest.raises(ValueError, match="targets"):
        SoftContrastLoss(targets="soft")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        SoftContrastLoss()(image, text[:5], image_labels, text_labels)
    with pytest.raises(ValueError, match=r"\(6, 3\)"):
        SoftContrastLoss()(image, text, image_labels, text_labels[:, :3])
