# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors, each encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

State = tuple[tuple[int, int], ...] | None


class TextCache:
    """The vectors of the texts asked for last, on the device of the network.

    What it holds is dropped when a parameter of the text tower has changed, by training, by loading weights, or by a
    move to another device.

    Args:
        encode: texts -> vectors [N, D].
        tower: the module whose parameters the vectors depend on.
        size: texts to keep; those not asked for longest are dropped first.
        batch_size: texts to encode at a time.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], torch.Tensor],
        tower: nn.Module,
        *,
        size: int = 4096,
        batch_size: int = 64,
    ) -> None:
        if size < 1 or batch_size < 1:
            raise ValueError(f"size and batch_size must be 1 or more, got {size} and {batch_size}")
        self.encode = encode
        self.tower = tower
        self.size = size
        self.batch_size = batch_size
        self._vectors: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._state: State = ()

    def __len__(self) -> int:
        return len(self._vectors)

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return vectors [N, D] in the order of ``texts``."""
        parameters = list(self.tower.parameters())
        # Every change in place, also that of an optimizer or of load_state_dict, raises a tensor's version. Weights
        # that were made in inference mode have none, so that nothing can be kept for them.
        tracked = not any(one.is_inference() for one in parameters)
        state = tuple((one.data_ptr(), one._version) for one in parameters) if tracked else None
        if state is None or state != self._state:
            self.clear()
        self._state = state
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        # More texts than the cache keeps must not push each other out before they are returned.
        asked = {text: self._vectors[text] for text in texts if text in self._vectors}
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            asked |= zip(batch, self.encode(batch), strict=True)
        for text, vector in asked.items():
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
        while len(self._vectors) > self.size:
            self._vectors.popitem(last=False)
        return torch.stack([asked[text] for text in texts])

    def clear(self) -> None:
        """Drop all vectors."""
        self._vectors.clear()
