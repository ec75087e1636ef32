# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from radbundles.networks import TextTower, build_bert


@pytest.fixture
def tower() -> TextTower:
    torch.manual_seed(0)
    return TextTower(build_bert(vocab_size=40, dim=16, layers=2, heads=2, max_length=20), dim=6).eval()


def test_sentence_is_the_mean_of_its_words(tower: TextTower) -> None:
    ids = torch.randint(5, 40, (2, 9))
    mask = torch.ones_like(ids)
    words_of = torch.zeros(2, 9, dtype=torch.bool)
    words_of[0, 1:8] = True
    words_of[1, 1:3] = True
    words, sentences = tower(ids, mask, words_of)
    assert words.shape == (2, 9, 6)
    torch.testing.assert_close(sentences[0], words[0, 1:8].mean(0))
    torch.testing.assert_close(sentences[1], words[1, 1:3].mean(0))
    torch.testing.assert_close(words, tower.projection(tower.encoder(input_ids=ids).last_hidden_state))


def test_padding_changes_nothing(tower: TextTower) -> None:
    ids = torch.randint(5, 40, (1, 7))
    mask = torch.ones_like(ids)
    short = tower(ids, mask, mask.bool())
    padded = [nn.functional.pad(value, (0, 5)) for value in (ids, mask, mask.bool())]
    words, sentences = tower(*padded)
    torch.testing.assert_close(words[:, :7], short[0])
    torch.testing.assert_close(sentences, short[1])


def test_sentence_without_words_is_zero_and_has_finite_gradients(tower: TextTower) -> None:
    ids = torch.randint(5, 40, (2, 4))
    _, sentences = tower(ids, torch.ones_like(ids), torch.tensor([[False] * 4, [True] * 4]))
    assert not sentences[0].any() and sentences[1].any()
    sentences.sum().backward()
    assert all(p.grad.isfinite().all() for p in tower.parameters() if p.grad is not None)


def test_embeddings_are_float32_under_autocast(tower: TextTower) -> None:
    ids = torch.randint(5, 40, (2, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        words, sentences = tower(ids, torch.ones_like(ids), torch.ones_like(ids).bool())
    assert words.dtype == sentences.dtype == torch.float32


def test_encoder_that_does_not_tell_its_width_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no config.hidden_size: give width"):
        TextTower(nn.Linear(2, 2))
