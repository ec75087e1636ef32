# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from radbundles.components.engines import EMATeacher
from radbundles.losses import (
    DCXFMObjective,
    SelfDistillationLoss,
    SoftContrastLoss,
    WordRegionLoss,
    official_word_mask,
)
from radbundles.networks import DCXFM, DINOHead, ImageTower, ResNetEncoder, TextTower, build_bert

Batch = dict[str, torch.Tensor]
DIM = 8


class Words(nn.Module):
    """The smallest text tower: a vector per token."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, DIM)
        self.calls = 0

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, word_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        words = self.table(input_ids)
        weight = word_mask[..., None].to(words.dtype)
        return words, (words * weight).sum(1) / weight.sum(1).clamp(min=1)


class Towers(nn.Module):
    """The smallest network: one convolution with batch normalization, and :class:`Words`."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, DIM, 4, stride=4), nn.BatchNorm2d(DIM))
        self.text = Words()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    word_mask = torch.zeros(3, 9, dtype=torch.bool)
    for row, count in enumerate((4, 2, 6)):
        word_mask[row, 1 : 1 + count] = True
    return {
        "image_global": torch.rand(3, 2, 3, 16, 16, generator=generator),
        "image_local": torch.rand(3, 4, 3, 8, 8, generator=generator),
        "input_ids": torch.randint(0, 20, (3, 9), generator=generator),
        "attention_mask": torch.ones(3, 9, dtype=torch.int64),
        "word_mask": word_mask,
        "image_labels": torch.randint(-1, 2, (3, 14), generator=generator).float(),
        "text_labels": torch.randint(-1, 2, (3, 14), generator=generator).float(),
    }


def objective(network: nn.Module | None = None, **arguments: Any) -> DCXFMObjective:
    torch.manual_seed(0)
    head = DINOHead(in_dim=DIM, hidden_dim=16, bottleneck_dim=8, out_dim=12)
    arguments = {"head": head, "distillation": SelfDistillationLoss(dim=12), **arguments}
    return DCXFMObjective(network or Towers(), **arguments)


def test_parts_are_the_losses_of_each_crop_and_view(batch: Batch) -> None:
    trained = objective().eval()
    with torch.no_grad():  # a teacher of its own mind
        trained.teacher["image"][0].weight.mul_(0.5)  # type: ignore[index]
    result = trained(batch)
    student, teacher = trained.student, trained.teacher
    assert teacher is not None
    words, sentence = trained.network.get_submodule("text")(
        batch["input_ids"], batch["attention_mask"], batch["word_mask"]
    )
    labels = batch["image_labels"], batch["text_labels"]
    cells = [student["image"](crop) for crop in batch["image_global"].unbind(1)]
    contrast = [SoftContrastLoss()(crop.mean((2, 3)), sentence, *labels) for crop in cells]
    word_region = [WordRegionLoss()(crop, words, batch["word_mask"]) for crop in cells]
    views = [*batch["image_global"].unbind(1), *batch["image_local"].unbind(1)]
    taught = torch.stack([teacher["head"](teacher["image"](view).mean((2, 3))) for view in views[:2]])
    learnt = torch.stack([student["head"](student["image"](view).mean((2, 3))) for view in views])
    torch.testing.assert_close(result["contrast"], sum(contrast) / 2)
    torch.testing.assert_close(result["word_region"], sum(word_region) / 2)
    torch.testing.assert_close(result["distillation"], SelfDistillationLoss(dim=12).eval()(taught, learnt))
    torch.testing.assert_close(result["image_embedding"], cells[0].mean((2, 3)))
    torch.testing.assert_close(result["text_embedding"], sentence)


def test_training_gives_the_three_losses_and_their_published_sum(batch: Batch) -> None:
    result = objective().train()(batch)
    assert set(result) == {"loss", "contrast", "word_region", "distillation"}
    expected = result["contrast"] + 2 * result["word_region"] + result["distillation"]
    torch.testing.assert_close(result["loss"], expected)


def test_weights_weigh_the_sum_and_not_the_parts(batch: Batch) -> None:
    plain = objective().eval()(batch)
    weighted = objective(contrast_weight=3.0, word_region_weight=0.5, distillation_weight=2.0).eval()(batch)
    for part in ("contrast", "word_region", "distillation"):
        assert torch.equal(weighted[part], plain[part])
    expected = 3 * plain["contrast"] + 0.5 * plain["word_region"] + 2 * plain["distillation"]
    torch.testing.assert_close(weighted["loss"], expected)


def count_calls(module: nn.Module) -> list[int]:
    """Sizes of the batches that the module sees from now on."""
    seen: list[int] = []
    module.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    return seen


def test_all_crops_of_one_size_take_one_pass_and_text_is_encoded_once(batch: Batch) -> None:
    trained = objective().train()
    assert trained.teacher is not None
    student, teacher = count_calls(trained.student["image"]), count_calls(trained.teacher["image"])
    trained(batch)
    assert student == [6, 12] and teacher == [6]
    assert trained.network.text.calls == 1  # type: ignore[union-attr]


def test_without_distillation_neither_teacher_nor_local_crops_run(batch: Batch) -> None:
    trained = objective(distillation_weight=0.0).train()
    assert trained.teacher is not None
    student, teacher = count_calls(trained.student["image"]), count_calls(trained.teacher["image"])
    result = trained(batch)
    assert student == [6] and teacher == [] and result["distillation"] == 0
    assert trained.distillation.center.abs().max() == 0
    assert torch.equal(objective(distillation_weight=0.0, head=None).train()(batch)["loss"], result["loss"])


class Refused(nn.Module):
    """Stands for a loss that must not run."""

    def forward(self, *_: Any) -> torch.Tensor:
        raise AssertionError


@pytest.mark.parametrize("part", ["contrast", "word_region", "distillation"])
def test_part_of_weight_zero_is_not_computed(batch: Batch, part: str) -> None:
    arguments: dict[str, Any] = {part: Refused(), f"{part}_weight": 0.0}
    result = objective(**arguments)(batch)
    assert result[part] == 0 and result[part].dtype == torch.float32
    with pytest.raises(AssertionError):
        objective(**arguments | {f"{part}_weight": 1.0})(batch)


def test_teacher_begins_as_a_copy_without_gradient(batch: Batch) -> None:
    trained = objective()
    assert trained.teacher is not None
    ours, theirs = trained.student.state_dict(), trained.teacher.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) and ours[key] is not theirs[key] for key in ours)
    trained(batch)["loss"].backward()
    assert all(parameter.grad is None for parameter in trained.teacher.parameters())
    assert all(p.grad is not None for p in trained.network.parameters() if p.requires_grad)
    assert all(p.grad is not None for p in trained.head.parameters() if p.requires_grad)  # type: ignore[union-attr]
    assert not any(key.startswith("student") for key in trained.state_dict())


def test_teacher_normalizes_and_counts_its_own_batches_in_training(batch: Batch) -> None:
    trained = objective().train()
    assert trained.teacher is not None
    trained(batch)
    student, teacher = trained.student["image"][1], trained.teacher["image"][1]  # type: ignore[index]
    assert teacher.num_batches_tracked == 1 and student.num_batches_tracked == 2
    assert not torch.equal(teacher.running_mean, student.running_mean)
    trained.eval()(batch)
    assert teacher.num_batches_tracked == 1


def test_teacher_follows_the_student_when_the_optimizer_steps(batch: Batch) -> None:
    trained = objective().train()
    assert trained.teacher is not None
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.1)
    ema = EMATeacher(trained.student, trained.teacher, optimizer, momentum=0.75)
    before = {name: parameter.clone() for name, parameter in trained.teacher.named_parameters()}
    trained(batch)["loss"].backward()
    optimizer.step()
    ema(optimizer)
    moved = dict(trained.teacher.named_parameters())
    for name, parameter in trained.student.named_parameters():
        torch.testing.assert_close(moved[name], 0.75 * before[name] + 0.25 * parameter)
    assert not torch.equal(moved["image.0.weight"], before["image.0.weight"])


def test_a_few_steps_lower_the_loss(batch: Batch) -> None:
    trained = objective().train()
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        result = trained(batch)
        result["loss"].backward()
        optimizer.step()
        losses.append(result)
    for part in ("loss", "contrast", "word_region"):
        assert losses[-1][part].item() < 0.9 * losses[0][part].item()


def test_losses_are_float32_under_bfloat16_autocast(batch: Batch) -> None:
    trained = objective().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = trained(batch)
    result["loss"].backward()
    assert {value.dtype for value in result.values()} == {torch.float32}
    expected = objective().train()(batch)
    torch.testing.assert_close(result["loss"], expected["loss"], rtol=0.05, atol=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in trained.parameters())


def test_double_contrast_makes_the_total_float64_as_published(batch: Batch) -> None:
    result = objective(contrast=SoftContrastLoss(double=True))(batch)
    assert result["loss"].dtype == result["contrast"].dtype == torch.float64
    assert result["word_region"].dtype == result["distillation"].dtype == torch.float32


def test_evaluation_is_repeatable_and_moves_nothing(batch: Batch) -> None:
    trained = objective().eval()
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    assert torch.equal(trained(batch)["loss"], trained(batch)["loss"])
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())


def test_global_crops_alone_teach_each_other(batch: Batch) -> None:
    del batch["image_local"]
    assert objective()(batch)["distillation"] > 0


def test_evaluation_of_a_single_view_has_no_distillation(batch: Batch) -> None:
    del batch["image_local"]
    batch["image_global"] = batch["image_global"][:, :1]
    trained = objective()
    result = trained.eval()(batch)
    assert result["distillation"] == 0 and result["contrast"] > 0 and result["image_embedding"].shape == (3, DIM)
    with pytest.raises(ValueError, match="no pair of different views"):
        trained.train()(batch)


def test_official_counts_replace_the_words(batch: Batch) -> None:
    counts = torch.tensor([[4, 7], [2, 1], [6, 3]])
    official = objective(word_counts="official").eval()
    ours = objective().eval()
    result = official(batch | {"official_counts": counts})
    misread = official_word_mask(counts, 9)
    # Item 0 its own count, item 1 that of the first item's second sentence, item 2 the second item's first.
    assert misread.sum(1).tolist() == [4, 7, 2] and not misread[:, 0].any() and misread[1, 1:8].all()
    expected = ours(batch | {"word_mask": misread})
    assert torch.equal(result["word_region"], expected["word_region"])
    assert not torch.isclose(result["word_region"], ours(batch)["word_region"])
    assert torch.equal(result["contrast"], ours(batch)["contrast"])


def test_official_counts_that_are_missing_or_do_not_fit_are_refused(batch: Batch) -> None:
    official = objective(word_counts="official")
    with pytest.raises(ValueError, match="official_counts"):
        official(batch)
    with pytest.raises(ValueError, match=r"two sentences an item, got \(3,\)"):
        official(batch | {"official_counts": torch.tensor([4, 2, 6])})
    with pytest.raises(ValueError, match="9 reaches beyond 9 tokens"):
        official(batch | {"official_counts": torch.full((3, 2), 9)})


def test_published_network_fits_in_small(batch: Batch) -> None:
    torch.manual_seed(0)
    bert = build_bert(vocab_size=20, dim=16, layers=1, heads=2, ffn=16, max_length=16)
    network = DCXFM(ImageTower(ResNetEncoder(18), dim=DIM), TextTower(bert, dim=DIM))
    small = {**batch, "image_global": batch["image_global"].repeat(1, 1, 1, 4, 4)}
    small["image_local"] = batch["image_local"].repeat(1, 1, 1, 4, 4)
    trained = objective(network).train()
    result = trained(small)
    result["loss"].backward()
    missing = [name for name, p in trained.named_parameters() if p.requires_grad and p.grad is None]
    assert result["loss"].isfinite() and not missing


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"word_region_weight": -1.0}, "word_region_weight=-1.0"),
        ({"head": None}, "needs a head"),
        ({"word_counts": "paper"}, "word_counts"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        objective(**arguments)


def test_network_without_towers_is_refused() -> None:
    with pytest.raises(TypeError, match="Identity"):
        objective(nn.Identity())
