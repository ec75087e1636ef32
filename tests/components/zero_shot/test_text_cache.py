# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from radbundles.components.zero_shot.text_cache import TextCache


def counting(tower: nn.Linear, asked: list[str]) -> TextCache:
    """A cache whose texts have their length as vector, times the tower's weight."""

    def encode(texts: Sequence[str]) -> torch.Tensor:
        asked.extend(texts)
        return torch.tensor([[float(len(text))] for text in texts]) * tower.weight[0]

    return TextCache(encode, tower)


def test_texts_are_encoded_once_until_the_weights_change() -> None:
    tower, asked = nn.Linear(1, 1, bias=False), list[str]()
    cache = counting(tower, asked)
    first = cache(["ab", "c", "ab"])
    assert asked == ["ab", "c"] and torch.equal(cache(["c"]), first[1:2]) and asked == ["ab", "c"]
    with torch.no_grad():
        tower.weight.fill_(2)
    assert cache(["c"]).item() == 2 and asked == ["ab", "c", "c"]


def test_weights_of_inference_mode_are_answered_and_never_stale() -> None:
    with torch.inference_mode():
        tower = nn.Linear(1, 1, bias=False)
    cache = counting(tower, [])
    with torch.inference_mode():
        for weight in (1.0, 3.0):
            tower.weight.fill_(weight)
            assert cache(["abc"]).item() == 3 * weight
