# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from radbundles.components.distillation.shared_prefix import SharedPrefix

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}


@pytest.fixture
def network() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()


def tokens(length: int, seed: int) -> list[int]:
    found: list[int] = torch.randint(50, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return found


def reads(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    forward = network.forward

    def counted(input_ids: torch.Tensor, **settings: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids, **settings)

    monkeypatch.setattr(network, "forward", counted)
    return shapes


def last_logits(network: Any, prefix: SharedPrefix, conversations: list[list[int]]) -> torch.Tensor:
    """Logits after each conversation; all have the same length."""
    with torch.inference_mode():
        known, cache = prefix.cache(conversations)
        rest = torch.tensor([row[known:] for row in conversations])
        logits: torch.Tensor = network(rest, past_key_values=cache).logits[:, -1]
    return logits


def test_what_is_remembered_changes_no_logits_and_is_read_once(
    network: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix, start = SharedPrefix(network), tokens(80, 1)
    batches = [[start + tokens(9, seed) for seed in seeds] for seeds in ((2, 3, 4), (5,), (6, 7))]
    with torch.inference_mode():
        expected = [network(torch.tensor(batch)).logits[:, -1] for batch in batches]
    shapes = reads(network, monkeypatch)

    for batch, logits in zip(batches, expected, strict=True):
        torch.testing.assert_close(last_logits(network, prefix, batch), logits, rtol=1e-4, atol=1e-4)
    assert shapes == [(1, 80), (3, 9), (1, 9), (2, 9)]


def test_conversations_that_begin_otherwise_do_not_get_what_is_remembered(network: LlamaForCausalLM) -> None:
    prefix, start = SharedPrefix(network), tokens(100, 1)
    batches = [
        [start + tokens(9, 2), start + tokens(9, 3)],
        [tokens(109, 4), tokens(109, 5)],  # nothing in common
        [start[:70] + tokens(39, 6), start + tokens(9, 7)],  # less than before
        [tokens(90, 8) + tokens(19, seed) for seed in (9, 10)],  # something else
        [[*start, *tokens(9, 11)]],
        [tokens(90, 8) + tokens(19, 12)],
    ]
    for batch in batches:
        with torch.inference_mode():
            expected = network(torch.tensor(batch)).logits[:, -1]
        torch.testing.assert_close(last_logits(network, prefix, batch), expected, rtol=1e-4, atol=1e-4)


def test_the_same_conversation_twice_leaves_a_token_to_follow_from(network: LlamaForCausalLM) -> None:
    both = [tokens(90, 1)] * 2
    with torch.inference_mode():
        expected = network(torch.tensor(both)).logits[:, -1]
    torch.testing.assert_close(last_logits(network, SharedPrefix(network), both), expected, rtol=1e-4, atol=1e-4)


def test_a_short_beginning_is_not_remembered(network: LlamaForCausalLM) -> None:
    assert SharedPrefix(network).cache([tokens(63, 1) + [1, 2], tokens(63, 1) + [2, 2]]) == (0, None)


def test_a_model_that_forgets_gets_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=16)).eval()
    prefix, shapes = SharedPrefix(network), reads(network, monkeypatch)
    batch = [tokens(80, 1) + [1, 2], tokens(80, 1) + [2, 2]]

    assert [prefix.cache(batch) for _ in range(3)] == [(0, None)] * 3
    assert shapes == [(1, 80)]
