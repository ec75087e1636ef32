# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radbundles.losses import ECAMPSegmentationLoss, SegmentationObjective


def official(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The loss of one structure as the paper's code computes it, over a whole batch."""
    ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    focal = (torch.exp(2 * F.logsigmoid(-x * (2 * t - 1))) * ce).mean()
    p, t = x.sigmoid().flatten(), t.flatten()
    return 10 * focal - torch.log((2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "logits": torch.randn(3, 2, 8, 8, generator=generator, dtype=torch.float64),
        "masks": torch.rand(3, 2, 8, 8, generator=generator).gt(0.6).to(torch.uint8),
        "labels": torch.tensor([[1, 1], [0, 1], [1, -1]]),
    }


def test_value_and_gradient_are_the_official_ones_averaged_over_structures(batch: dict[str, torch.Tensor]) -> None:
    logits, reference = (batch["logits"].clone().requires_grad_() for _ in range(2))
    result = ECAMPSegmentationLoss()(logits, batch["masks"], batch["labels"])
    targets = batch["masks"].double() * (batch["labels"] == 1)[..., None, None]
    expected = (official(reference[:, 0], targets[:, 0]) + official(reference[:2, 1], targets[:2, 1])) / 2
    torch.testing.assert_close(result["loss"], expected)
    torch.testing.assert_close(10 * result["focal"] + result["dice"], result["loss"])
    result["loss"].backward()
    expected.backward()
    torch.testing.assert_close(logits.grad, reference.grad)


def test_what_is_unknown_teaches_nothing(batch: dict[str, torch.Tensor]) -> None:
    batch["labels"][:, 1] = -1
    logits = batch["logits"].clone()
    logits[:, 1] = float("nan")
    logits.requires_grad_()
    result = ECAMPSegmentationLoss()(logits, batch["masks"], batch["labels"])
    alone = ECAMPSegmentationLoss()(batch["logits"][:, :1], batch["masks"][:, :1], batch["labels"][:, :1])
    torch.testing.assert_close(result, alone)
    result["loss"].backward()
    assert logits.grad is not None and not logits.grad[:, 1].any() and logits.grad[:, 0].all()


def test_nothing_known_is_zero_with_a_gradient_of_zero(batch: dict[str, torch.Tensor]) -> None:
    logits = batch["logits"].requires_grad_()
    result = ECAMPSegmentationLoss()(logits, batch["masks"], torch.full((3, 2), -1))
    result["loss"].backward()
    assert result["loss"].item() == 0 and logits.grad is not None and not logits.grad.any()


def test_fits_the_objective_of_segmentation(batch: dict[str, torch.Tensor]) -> None:
    objective = SegmentationObjective(nn.Conv2d(3, 2, 1), ECAMPSegmentationLoss(focal_weight=1, gamma=0))
    result = objective.eval()({**batch, "image": torch.randn(3, 3, 8, 8)})
    assert set(result) == {"loss", "focal", "dice", "logits"}
    torch.testing.assert_close(result["loss"], result["focal"] + result["dice"])


def test_wrong_values_are_refused(batch: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="smooth > 0, got 10.0, 2.0 and 0"):
        ECAMPSegmentationLoss(smooth=0)
    with pytest.raises(ValueError, match=r"\[B, K, H, W\] twice"):
        ECAMPSegmentationLoss()(batch["logits"][:2], batch["masks"], batch["labels"])
    with pytest.raises(ValueError, match=r"got \[3\]"):
        ECAMPSegmentationLoss()(batch["logits"], batch["masks"], batch["labels"] * 0 + 3)
