# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Vocabulary head of masked language modeling."""

from __future__ import annotations

import torch
from torch import nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from radbundles.networks.weight_init import init_transformer_weights


class TokenHead(nn.Module):
    """Dense layer, GELU and norm, then an output matrix of its own.

    The output matrix is not tied to the word embedding, as in the official code where a second BERT replaces the
    one the head was tied to (quirk Q19). Its bias is one parameter.

    Args:
        config: sizes of the text part.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        init_transformer_weights(self)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map token features [..., dim] to logits [..., vocabulary]."""
        return self.decoder(self.transform(hidden))
