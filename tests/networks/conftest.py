# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A network small enough for tests, every size of it different where it may differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from radbundles.networks import ECAMP

TINY: dict[str, Any] = {
    "image_size": 128,
    "dim": 24,
    "depth": 2,
    "heads": 3,
    "decoder_dim": 16,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "vocab_size": 50,
    "text_dim": 20,
    "text_layers": 2,
    "text_heads": 5,
    "text_ffn": 28,
    "max_length": 24,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks of a few thousand weights lose time when their work is shared out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> dict[str, Any]:
    return dict(TINY)


@pytest.fixture
def network() -> ECAMP:
    torch.manual_seed(0)
    return ECAMP(**TINY).eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    """Three reports of 16, 11 and 5 tokens, padded to 16; 16 patches."""
    generator = torch.Generator().manual_seed(1)
    attention_mask = (torch.arange(16) < torch.tensor([[16], [11], [5]])).long()
    return {
        "image": torch.randn(3, 3, 128, 128, generator=generator),
        "input_ids": torch.randint(5, 50, (3, 16), generator=generator) * attention_mask,
        "attention_mask": attention_mask,
        "noise": torch.rand(3, 16, generator=generator),
    }
