# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""When a language model of transformers has to stop writing although it has not come to an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_TAIL = 192  # tokens that are looked at
_PERIOD = 64  # longest run of tokens, a long finding, that counts as repeated: at least three times in the tail
_EVERY = 32  # tokens from one look to the next


class Brake:
    """Stopping criterion of ``generate``: ends replies that go round in circles, and all of them on demand.

    The likeliest token after a finding said three times is often the first of the same finding. Small models go on like
    that up to the limit, and keep the rest of the batch waiting.

    Args:
        width: tokens of the conversations, padding included.
        stop: asked at every token; True ends all replies.
    """

    def __init__(self, width: int, stop: Callable[[], bool]) -> None:
        self._width, self._stop = width, stop
        self._cuts: dict[int, int] = {}

    def __call__(self, ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """Which rows of ``ids`` [N,L] are to stop -> [N]; ``generate`` asks after every token."""
        import torch

        if self._stop():
            return torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        written = ids.shape[1] - self._width
        if written < _TAIL or written % _EVERY:
            return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        circles = _goes_round(ids[:, -_TAIL:].cpu())
        for row in circles.nonzero().flatten().tolist():
            self._cuts.setdefault(row, written)
        return circles.to(ids.device)

    def written(self, row: int, tokens: list[int]) -> list[int]:
        """What a row wrote before the brake; padding follows, which may look like the end of a reply."""
        return tokens[: self._cuts.get(row, len(tokens))]


def _goes_round(tails: torch.Tensor) -> torch.Tensor:
    """Whether each row [N,T] is one run of tokens again and again -> [N]."""
    import torch

    repeated = [(tails[:, period:] == tails[:, :-period]).all(dim=1) for period in range(1, _PERIOD + 1)]
    return torch.stack(repeated).any(dim=0)
