# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A network whose cells and texts are known: it sees how bright a cell is, and knows two words for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from radbundles.components.zero_shot import DenseZeroShot, PromptTable, ZeroShot
from radbundles.networks import ImageFeatures, cost_volume
from radbundles.transforms import build_report_tokenizer
from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS

WORDS = ("bright", "dark", "there", "is", "no", "a", "indicating")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Brightness(nn.Module):
    """Cells of two channels: brightness, and what lacks to white."""

    def __init__(self, cell: int = 8) -> None:
        super().__init__()
        self.cell = cell
        self.calls = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        bright = F.avg_pool2d(image[:, :1], self.cell)
        return torch.cat([bright, 1 - bright], dim=1)


class WordVectors(nn.Module):
    """The words "bright" and "dark" are the two axes, "no" turns a sentence around, all others say nothing."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        table = torch.zeros(tokenizer.get_vocab_size(), 2)
        for word, vector in (("bright", (1.0, 0.0)), ("dark", (0.0, 1.0))):
            table[tokenizer.token_to_id(word)] = torch.tensor(vector)
        self.table = nn.Parameter(table)
        self.no = int(tokenizer.token_to_id("no") or 0)
        self.calls = 0
        self.sentences = 0

    def forward(self, ids: torch.Tensor, attention: torch.Tensor, words: torch.Tensor) -> tuple[Any, torch.Tensor]:
        self.calls += 1
        self.sentences += len(ids)
        vectors = self.table[ids]
        sign = 1 - 2 * torch.eq(ids, self.no).any(dim=1, keepdim=True).float()
        return vectors, sign * (vectors * words[..., None]).sum(1) / words.sum(1, keepdim=True)


class Known(nn.Module):
    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.image = Brightness()
        self.text = WordVectors(tokenizer)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.image(image)


@pytest.fixture
def tokenizer() -> Tokenizer:
    pieces = [*SPECIAL_TOKENS, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS), "."]
    return build_report_tokenizer({piece: number for number, piece in enumerate(dict.fromkeys(pieces))})


TABLE: dict[str, Any] = {
    "name": "known",
    "style": "plain",
    "styles": {
        "plain": {"positive": ["there is {term}"], "negative": ["there is no {term}"]},
        "region": {"positive": ["{term}"], "negative": []},
    },
    "classes": {
        "Bright": {"terms": ["bright", "a bright"]},
        "Dark": {"terms": ["dark"]},
        "Half": {"terms": ["bright", "dark"], "style": "region"},
    },
}


@pytest.fixture
def known(tokenizer: Tokenizer) -> ZeroShot:
    network = Known(tokenizer)
    return ZeroShot(network, tokenizer=tokenizer, size=128, prompts=PromptTable(TABLE), smoothing=0.5)


class KnownAggregator(nn.Module):
    """Logits from cosines: positive where the mean cosine of the prompts is above 0.75."""

    prompt_channels = 4

    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(40.0))
        self.asked: list[tuple[int, int]] = []

    def forward(self, cells: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        self.asked.append((len(cells), prompts.shape[-3]))
        costs = cost_volume(cells, prompts).mean(2)
        return F.interpolate((costs - 0.75) * self.steepness, scale_factor=4, mode="bilinear", align_corners=False)


class KnownDense(nn.Module):
    """What :class:`DenseZeroShot` uses of a network with cost aggregation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.image = Brightness()
        self.text = WordVectors(tokenizer)
        self.aggregator = KnownAggregator()

    def encode_image(self, image: torch.Tensor) -> ImageFeatures:
        return ImageFeatures(self.image(image))

    def aggregate(self, features: ImageFeatures, prompts: torch.Tensor) -> torch.Tensor:
        return self.aggregator(features.cells, prompts)


@pytest.fixture
def known_dense(tokenizer: Tokenizer) -> DenseZeroShot:
    network: Any = KnownDense(tokenizer)
    return DenseZeroShot(network, tokenizer=tokenizer, size=128, prompts=PromptTable(TABLE))
