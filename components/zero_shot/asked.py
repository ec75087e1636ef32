# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A question in the form that images are compared with."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F


class Asked(NamedTuple):
    """Phrases and classes as vectors of length 1.

    Attributes:
        vectors: of the phrases, then of all prompts of the classes, [T, D].
        counts: prompts of each of the N phrases and classes, 1 for a phrase.
        first: number of phrases, and so the place of the first class.
        denied: of the denied prompts of the classes, where these shall be compared with them.
    """

    vectors: torch.Tensor
    counts: list[int]
    first: int
    denied: torch.Tensor | None

    @property
    def mean(self) -> torch.Tensor:
        """Matrix [N, T] that averages the prompts of each."""
        owner = torch.repeat_interleave(torch.arange(len(self.counts)), torch.tensor(self.counts))
        return (F.one_hot(owner, len(self.counts)).T / torch.tensor(self.counts)[:, None]).to(self.vectors)

    @property
    def class_mean(self) -> torch.Tensor:
        """The part of it that averages the prompts of classes."""
        return self.mean[self.first :, self.first :]
