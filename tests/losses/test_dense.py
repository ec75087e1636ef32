# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.losses import DiceLoss, FocalLoss
from torch.autograd import gradcheck

from radbundles.losses import DenseLoss, dense_sums

LABELS = torch.tensor([[1, 0, -1, 1, 1], [-1, -1, -1, -1, -1], [0, 0, -1, 0, -1], [1, -1, 1, 0, 0]])


def example(size: tuple[int, int] = (6, 7), dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and masks, these also where the label says that they do not count."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(*LABELS.shape, *size, generator=generator, dtype=dtype)
    masks = torch.rand(*LABELS.shape, *size, generator=generator) < 0.3
    masks[0, 3] = False  # present, but nothing drawn
    return logits.requires_grad_(), masks


def by_monai(
    logits: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor, *, per_class: bool = False, gamma: float = 2.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Dice and focal loss of each image with what is known of it, averaged over the images."""
    dice, focal = DiceLoss(sigmoid=True, smooth_nr=0, smooth_dr=1e-7, reduction="none"), FocalLoss(gamma=gamma)
    losses = []
    for image, mask, label in zip(logits, masks, labels, strict=True):
        if (label < 0).all():
            continue
        x = image[label >= 0].flatten(1)
        t = (mask * (label == 1)[:, None, None])[label >= 0].flatten(1).to(x.dtype)
        rows = (x, t) if per_class else (x.view(1, -1), t.view(1, -1))
        one = dice(rows[0][None], rows[1][None]).flatten()[rows[1].sum(1) > 0]
        losses.append((one.mean() if len(one) else one.new_zeros(()), focal(x[None], t[None])))
    assert losses, "no image has a known class"
    return torch.stack([a for a, _ in losses]).mean(), torch.stack([b for _, b in losses]).mean()


@pytest.mark.parametrize("dice", ["joint", "per_class"])
@pytest.mark.parametrize("gamma", [2.0, 0.0, 1.5])
def test_values_and_gradients_are_those_of_monai_on_the_known_classes(dice: Any, gamma: float) -> None:
    logits, masks = example()
    result = DenseLoss(dice=dice, dice_weight=0.5, focal_weight=2.0, gamma=gamma)(logits, masks, LABELS)
    expected = by_monai(logits, masks, LABELS, per_class=dice == "per_class", gamma=gamma)
    torch.testing.assert_close(result["dice"], expected[0])
    torch.testing.assert_close(result["focal"], expected[1])
    torch.testing.assert_close(result["loss"], 0.5 * expected[0] + 2 * expected[1])
    ours = torch.autograd.grad(result["loss"], logits)[0]
    theirs = torch.autograd.grad(0.5 * expected[0] + 2 * expected[1], logits)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("gamma", [2.0, 0.0, 1.5])
def test_gradient_of_every_sum_is_that_of_its_values(gamma: float) -> None:
    logits, masks = example((2, 3), torch.float64)
    assert gradcheck(lambda x: dense_sums(x, masks, LABELS, gamma), logits)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_a_mask_is_what_is_not_zero(dtype: torch.dtype) -> None:
    logits, masks = example()
    expected = DenseLoss()(logits, masks, LABELS)["loss"]
    values = masks.to(dtype) if dtype == torch.bool else masks.to(dtype) * 255
    assert torch.equal(DenseLoss()(logits, values, LABELS)["loss"], expected)


@pytest.mark.parametrize("dice", ["joint", "per_class"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 5.0])
def test_unknown_classes_neither_count_nor_learn_whatever_their_logits(dice: Any, value: float) -> None:
    logits, masks = example()
    expected = DenseLoss(dice=dice)(logits, masks, LABELS)["loss"]
    gradient = torch.autograd.grad(expected, logits)[0]
    spoilt = logits.detach().clone()
    spoilt[LABELS < 0] = value
    spoilt.requires_grad_()
    result = DenseLoss(dice=dice)(spoilt, masks, LABELS)["loss"]
    result.backward()
    assert torch.equal(result, expected) and spoilt.grad is not None
    assert torch.equal(spoilt.grad, gradient) and spoilt.grad[LABELS < 0].abs().max() == 0
    assert (spoilt.grad[LABELS >= 0].abs().amax((1, 2)) > 0).all()


def test_images_without_a_known_class_are_left_out_of_the_mean() -> None:
    logits, masks = example()
    known = (LABELS >= 0).any(1)
    assert not known.all()
    for loss in (DenseLoss(), DenseLoss(dice="per_class")):
        torch.testing.assert_close(
            loss(logits, masks, LABELS)["loss"], loss(logits[known], masks[known], LABELS[known])["loss"]
        )


@pytest.mark.parametrize("dice", ["joint", "per_class"])
def test_batch_in_which_nothing_is_known_has_loss_zero_and_gradient_zero(dice: Any) -> None:
    logits, masks = example()
    result = DenseLoss(dice=dice)(logits, masks, torch.full_like(LABELS, -1))
    assert {name: value.item() for name, value in result.items()} == {"loss": 0, "dice": 0, "focal": 0}
    result["loss"].backward()
    assert logits.grad is not None and logits.grad.abs().max() == 0


def test_images_of_absent_classes_alone_have_focal_loss_and_no_dice() -> None:
    logits, masks = example()
    result = DenseLoss()(logits, masks, torch.zeros_like(LABELS))
    assert result["dice"] == 0 and result["focal"] > 0
    empty = DenseLoss()(logits, torch.zeros_like(masks), torch.ones_like(LABELS))
    assert empty["dice"] == 0
    torch.testing.assert_close(empty["focal"], result["focal"])


def test_joint_dice_lets_the_large_outweigh_the_small_and_per_class_does_not() -> None:
    masks = torch.zeros(1, 2, 16, 16)
    masks[0, 0] = 1  # a large finding, found, and a small one, missed
    masks[0, 1, :2, :2] = 1
    logits = torch.full((1, 2, 16, 16), -20.0)
    logits[0, 0] = 20
    labels = torch.ones(1, 2, dtype=torch.long)
    joint = DenseLoss(dice="joint")(logits, masks, labels)["dice"]
    per_class = DenseLoss(dice="per_class")(logits, masks, labels)["dice"]
    assert joint.item() == pytest.approx(1 - 2 * 256 / (256 + 260), abs=1e-6)
    assert per_class.item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -90.0, 90.0, 1e4])
def test_certainty_gives_finite_values_and_gradients(logit: float) -> None:
    logits = torch.full((1, 2, 4, 4), logit, requires_grad=True)
    masks = torch.ones(1, 2, 4, 4)
    result = DenseLoss()(logits, masks, torch.tensor([[1, 0]]))
    assert result["focal"].item() == pytest.approx(abs(logit) / 2, rel=1e-5)  # one of both is all wrong
    result["loss"].backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_more_maps_than_fit_into_a_cache_are_summed_as_each_alone() -> None:
    logits, masks = example((300, 300))  # one or two at a time
    sums = dense_sums(logits, masks, LABELS)
    gradient = torch.autograd.grad(torch.stack(sums).sum(), logits)[0]
    for b, t in ((0, 0), (0, 4), (1, 1), (3, 2), (3, 4)):
        x = logits[b : b + 1, t : t + 1].detach().requires_grad_()
        alone = dense_sums(x, masks[b : b + 1, t : t + 1], LABELS[b : b + 1, t : t + 1])
        for part, one in zip(sums, alone, strict=True):
            torch.testing.assert_close(part[b, t], one[0, 0])
        torch.testing.assert_close(gradient[b, t], torch.autograd.grad(torch.stack(alone).sum(), x)[0][0, 0])


def test_half_precision_is_summed_in_float32() -> None:
    logits, masks = example((64, 64))
    half = logits.detach().to(torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = DenseLoss()(half, masks, LABELS)
    expected = DenseLoss()(half.detach().float(), masks, LABELS)
    assert {value.dtype for value in result.values()} == {torch.float32}
    assert all(torch.equal(result[name], expected[name]) for name in expected)
    result["loss"].backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16 and half.grad.abs().max() > 0


def test_logits_of_any_memory_format_get_their_own_gradient() -> None:
    logits, masks = example()
    last = logits.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = torch.autograd.grad(DenseLoss()(logits, masks, LABELS)["loss"], logits)[0]
    torch.testing.assert_close(
        torch.autograd.grad(
            DenseLoss()(last, masks.contiguous(memory_format=torch.channels_last), LABELS)["loss"], last
        )[0],
        expected,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dice": "mean"}, "'mean'"),
        ({"dice_weight": -1.0}, "-1.0"),
        ({"dice_weight": 0.0, "focal_weight": 0.0}, "both 0"),
        ({"gamma": -2.0}, "-2.0"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenseLoss(**arguments)


def test_shapes_and_labels_that_do_not_fit_are_refused() -> None:
    logits, masks = example()
    with pytest.raises(ValueError, match=r"masks \(4, 5, 6, 6\)"):
        DenseLoss()(logits, masks[..., :-1], LABELS)
    with pytest.raises(ValueError, match=r"labels \(4, 4\)"):
        DenseLoss()(logits, masks, LABELS[:, :-1])
    with pytest.raises(ValueError, match=r"got \[2\]"):
        DenseLoss()(logits, masks, LABELS.clamp(max=0) + 2 * (LABELS == 1))
