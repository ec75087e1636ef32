# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from radbundles.components.benchmarks.word_region import loop_loss
from radbundles.losses import WordRegionLoss, word_region_attention, word_region_similarity

Features = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def features(
    lengths: list[int], *, images: int | None = None, side: int = 3, dtype: torch.dtype = torch.float64
) -> Features:
    generator = torch.Generator().manual_seed(0)
    B = len(lengths)
    cells = torch.randn(images or B, 6, side, side + 1, dtype=dtype, generator=generator).requires_grad_()
    words = torch.randn(B, max(lengths) + 2, 6, dtype=dtype, generator=generator).requires_grad_()
    word_mask = torch.arange(words.shape[1]) < torch.tensor(lengths)[:, None]
    return cells, words, word_mask


def gradients(loss: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


# The lengths make groups without padding, with it, of one sentence, and one that a chunk has to split.
@pytest.mark.parametrize("chunk_size", [None, 1, 30, 200, 10**6])
@pytest.mark.parametrize("lengths", [[3, 1, 7, 4, 4, 9, 2, 3], [5, 5, 5], [1, 1], [12, 1]])
def test_loss_and_gradients_are_those_of_the_loop(lengths: list[int], chunk_size: int | None) -> None:
    inputs = features(lengths)
    ours, theirs = WordRegionLoss(chunk_size=chunk_size)(*inputs), loop_loss(*inputs)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, *inputs[:2]), gradients(theirs, *inputs[:2]))


def test_float32_agrees_with_the_loop_at_full_size_of_one_image() -> None:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn(4, 128, 16, 16, generator=generator).requires_grad_()
    words = torch.randn(4, 76, 128, generator=generator).requires_grad_()
    inputs = cells, words, torch.arange(76) < torch.tensor([[5], [40], [76], [22]])
    ours, theirs = WordRegionLoss()(*inputs), loop_loss(*inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for actual, expected in zip(gradients(ours, *inputs[:2]), gradients(theirs, *inputs[:2]), strict=True):
        assert (actual - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("chunk_size", [None, 40, 10**6])
def test_gradients_are_the_slope_of_the_similarity(chunk_size: int | None) -> None:
    cells, words, word_mask = features([2, 3, 1], images=2, side=2)

    def similarity(cells: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return word_region_similarity(cells, words, word_mask, temperatures=(2.0, 3.0, 0.5), chunk_size=chunk_size)

    assert torch.autograd.gradcheck(similarity, (cells, words))


def test_similarity_by_hand() -> None:
    # Two cells, one word: the softmax over words is 1 everywhere, that over cells 1/2, the context their mean.
    cells = torch.tensor([[[1.0, 3.0], [0.0, 4.0]]])  # columns (1, 0) and (3, 4): mean (2, 2)
    words = torch.tensor([[[0.0, 5.0]]])
    similarity = word_region_similarity(cells, words, torch.ones(1, 1, dtype=torch.bool), temperatures=(4.0, 5.0, 10.0))
    assert similarity.item() == pytest.approx(10 * 5 * math.cos(math.pi / 4), rel=1e-6)


def test_words_may_lie_anywhere_in_the_sentence() -> None:
    cells, words, word_mask = features([2, 4, 3])
    shuffled = torch.randperm(words.shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        WordRegionLoss()(cells, words[:, shuffled], word_mask[:, shuffled]), WordRegionLoss()(cells, words, word_mask)
    )


def test_what_the_mask_hides_has_no_effect_and_no_gradient() -> None:
    cells, words, word_mask = features([2, 4, 3])
    garbage = torch.where(word_mask[..., None], words, torch.nan).detach().requires_grad_()
    loss = WordRegionLoss()(cells, garbage, word_mask)
    torch.testing.assert_close(loss, WordRegionLoss()(cells, words, word_mask))
    (gradient,) = gradients(loss, garbage)
    assert gradient[word_mask].abs().min() > 0 and gradient[~word_mask].abs().max() == 0


def test_items_without_words_are_no_targets_but_their_images_are_negatives() -> None:
    cells, words, word_mask = features([2, 4, 3, 1])
    word_mask[1] = False
    loss = WordRegionLoss()(cells, words, word_mask)
    similarity = word_region_similarity(cells, words, word_mask)
    assert similarity[:, 1].isneginf().all()
    kept = similarity[:, [0, 2, 3]]
    to_text = torch.nn.functional.cross_entropy(kept[[0, 2, 3]], torch.tensor([0, 1, 2]))
    to_image = torch.nn.functional.cross_entropy(kept.T, torch.tensor([0, 2, 3]))
    torch.testing.assert_close(loss, (to_text + to_image) / 2)
    for_cells, for_words = gradients(loss, cells, words)
    assert for_cells.isfinite().all() and for_cells[1].abs().max() > 0
    assert for_words.isfinite().all() and for_words[1].abs().max() == 0


def test_batch_without_words_has_loss_zero_and_zero_gradients() -> None:
    cells, words, word_mask = features([2, 4])
    loss = WordRegionLoss()(cells, words, torch.zeros_like(word_mask))
    assert loss.item() == 0
    assert all(gradient.abs().max() == 0 for gradient in gradients(loss, cells, words))


def test_similarity_of_a_batch_without_words_is_minus_infinity() -> None:
    cells, words, word_mask = features([2, 4])
    assert word_region_similarity(cells, words, torch.zeros_like(word_mask)).isneginf().all()


@pytest.mark.parametrize("zero", ["word", "cells"])
def test_zero_vectors_give_finite_gradients_that_agree_with_the_loop(zero: str) -> None:
    cells, words, word_mask = features([2, 4, 3])
    with torch.no_grad():
        words[1, 0] = 0 if zero == "word" else words[1, 0]
        cells[2] = 0 if zero == "cells" else cells[2]
    ours, theirs = WordRegionLoss()(cells, words, word_mask), loop_loss(cells, words, word_mask)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, cells, words), gradients(theirs, cells, words))


def test_several_crops_give_the_mean_of_their_losses() -> None:
    first, words, word_mask = features([2, 4, 0])
    second = features([1, 1, 1], side=3)[0].detach().flip(0) * 0.7
    both = WordRegionLoss()(torch.cat([first, second]), words, word_mask)
    parts = [WordRegionLoss()(crop, words, word_mask) for crop in (first, second)]
    torch.testing.assert_close(both, sum(parts) / 2)


def test_loss_is_float32_under_bfloat16_autocast() -> None:
    cells, words, word_mask = features([2, 4, 3], dtype=torch.float32)
    expected = WordRegionLoss()(cells, words, word_mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = WordRegionLoss()(cells, words, word_mask)
        within = gradients(loss, cells, words)  # a backward pass under autocast, too
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    for actual, reference in zip(within, gradients(expected, cells, words), strict=True):
        assert torch.equal(actual, reference)


def test_bfloat16_features_get_bfloat16_gradients_of_a_float32_loss() -> None:
    cells, words, word_mask = features([2, 4, 3], dtype=torch.bfloat16)
    loss = WordRegionLoss()(cells, words, word_mask)
    torch.testing.assert_close(loss, WordRegionLoss()(cells.float(), words.float(), word_mask))
    assert [gradient.dtype for gradient in gradients(loss, cells, words)] == [torch.bfloat16] * 2


class LargestTensor(TorchDispatchMode):
    """Sees how many numbers the largest result of any operator holds."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_buffer_exceeds_the_chunk() -> None:
    cells, words, word_mask = features([5] * 20, side=5, dtype=torch.float32)
    limit = max(cells.numel(), words.numel())
    with LargestTensor() as largest:
        gradients(WordRegionLoss(chunk_size=limit)(cells, words, word_mask), cells, words)
    assert largest.numbers <= limit < 20 * 20 * 5 * 30  # images x sentences x words x cells


def test_attention_is_a_distribution_over_the_cells_of_each_word() -> None:
    cells, words, word_mask = features([2, 4, 0])
    attention = word_region_attention(cells, words, word_mask)
    assert attention.shape == (3, 6, 3, 4)
    torch.testing.assert_close(attention.sum((2, 3)), word_mask.double())


def test_attention_of_a_word_peaks_where_its_cell_is() -> None:
    cells = torch.zeros(1, 2, 2, 2)
    cells[0, :, 1, 0] = torch.tensor([0.0, 9.0])
    cells[0, :, 0, 1] = torch.tensor([9.0, 0.0])
    words = torch.eye(2)[None]
    attention = word_region_attention(cells, words, torch.ones(1, 2, dtype=torch.bool))
    assert attention[0, 0].argmax() == 1 and attention[0, 1].argmax() == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"temperatures": (4.0, 5.0)}, "three positive"),
        ({"temperatures": (4.0, 0.0, 10.0)}, "three positive"),
        ({"chunk_size": 0}, "chunk_size"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        WordRegionLoss(**arguments)


@pytest.mark.parametrize("arguments", [{"temperatures": (4.0, -5.0, 1.0)}, {"chunk_size": 0}])
def test_similarity_refuses_them_too(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        word_region_similarity(*features([2, 4]), **arguments)


def test_shapes_that_do_not_fit_are_refused() -> None:
    cells, words, word_mask = features([2, 4, 3])
    with pytest.raises(ValueError, match="2 images"):
        WordRegionLoss()(cells[:2], words, word_mask)
    with pytest.raises(ValueError, match="word_mask"):
        word_region_similarity(cells, words, word_mask[:, 1:])
    with pytest.raises(ValueError, match=r"\[S, L, D\]"):
        word_region_similarity(cells, words[..., 1:], word_mask)


@pytest.mark.parametrize("chunk_size", [None, 60])
def test_what_is_kept_serves_a_second_backward_pass(chunk_size: int | None) -> None:
    cells, words, word_mask = features([2, 4, 3])
    loss = WordRegionLoss(chunk_size=chunk_size)(cells, words, word_mask)
    first, second = (torch.autograd.grad(loss, (cells, words), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
