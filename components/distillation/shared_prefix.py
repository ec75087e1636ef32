# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What all conversations begin with, read once by a language model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_WORTH = 64  # tokens; fewer are not worth remembering


class SharedPrefix:
    """Keys and values of the instructions and examples, which are most of a conversation and the same in each.

    They are found by comparison: of the conversations of a batch with each other, and with what is remembered. Models
    whose memory is no plain list of keys and values (sliding windows, recurrent layers) get none.

    Args:
        network: causal language model.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._tokens: list[int] = []
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] | None = []

    def cache(self, conversations: Sequence[list[int]]) -> tuple[int, Any]:
        """How many first tokens of all conversations need not be read again, and the cache to generate with.

        Args:
            conversations: tokens of each.

        Returns:
            The number, and a new ``DynamicCache`` with a row for each conversation; 0 and None if nothing is shared.
        """
        from transformers import DynamicCache

        if self._layers is None:
            return 0, None
        starts = [tokens[:-1] for tokens in conversations]  # a token has to be left for the reply to follow from
        known, own = _common([*starts, self._tokens]), _common(starts)
        if len(starts) > 1 and own >= max(_WORTH, 2 * known):
            self._read(starts[0][:own])
            known = own
        if known < _WORTH or self._layers is None:
            return 0, None
        cache = DynamicCache()
        rows = (len(starts), -1, -1, -1)
        for number, (keys, values) in enumerate(self._layers):
            cache.update(keys[:, :, :known].expand(rows), values[:, :, :known].expand(rows), number)
        return known, cache

    def _read(self, tokens: list[int]) -> None:
        import torch
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        cache = DynamicCache(config=self._network.config)
        self._network(torch.tensor([tokens], device=self._network.device), past_key_values=cache, logits_to_keep=1)
        layers: list[Any] = list(cache.layers)
        if all(type(layer) is DynamicLayer for layer in layers):
            self._tokens, self._layers = tokens, [(layer.keys, layer.values) for layer in layers]
        else:
            self._layers = None


def _common(rows: Sequence[list[int]]) -> int:
    """Length of what all rows begin with."""
    first, last = min(rows), max(rows)  # rows between these two in the order of lists share what these two share
    return next((place for place, token in enumerate(first) if last[place] != token), len(first))
