# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Text half of a model that compares images and texts cell by cell."""

from __future__ import annotations

import torch
from torch import nn


class TextTower(nn.Module):
    """A BERT and one linear layer into the space shared with images.

    Source: DCXFM, text encoder and projection.

    Deviation: which tokens are words of a sentence is told by a mask. The official code takes as many tokens after
    [CLS] as the sentence has white-space words, and so leaves out the end of sentences whose words are split (quirk
    Q6); a mask of that prefix gives the official embedding.

    Args:
        encoder: an encoder of transformers: takes ``input_ids`` and ``attention_mask``, returns ``last_hidden_state``.
        dim: width of the shared space.
        width: width of the encoder's features; by default the ``hidden_size`` of its configuration.

    Raises:
        ValueError: if the width is neither given nor told by the encoder.
    """

    def __init__(self, encoder: nn.Module, *, dim: int = 128, width: int | None = None) -> None:
        super().__init__()
        features = getattr(getattr(encoder, "config", None), "hidden_size", None) if width is None else width
        if not isinstance(features, int) or features < 1:
            raise ValueError(f"{type(encoder).__name__} has no config.hidden_size: give width, got {width}")
        self.encoder = encoder
        self.projection = nn.Linear(features, dim)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, word_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed sentences and their words.

        Args:
            input_ids: token ids [N, L].
            attention_mask: 1 token, 0 pad, [N, L].
            word_mask: True for the tokens that are words of the sentence, [N, L].

        Returns:
            Words [N, L, dim] and sentences [N, dim], in float32, not normalized. A sentence is the mean of its words,
            and zero if it has none.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        words = self.projection(hidden).float()
        weights = word_mask.to(words.dtype)[..., None]
        return words, (words * weights).sum(1) / weights.sum(1).clamp(min=1)
