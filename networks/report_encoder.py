# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Encoder of a report in the context of its image."""

from __future__ import annotations

import torch
from torch import nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertEncoder

from radbundles.networks.context_fusion import ContextFusionLayer
from radbundles.networks.weight_init import init_transformer_weights


class ReportEncoder(nn.Module):
    """BERT whose embeddings pass through one context fusion layer before its own layers.

    Source: ECAMP. Built of the BERT modules of transformers, so that ``embeddings`` and ``encoder`` have
    the keys of a Hugging Face BERT. There is no pooler: nothing reads it (quirk Q20).

    Args:
        config: sizes of the text part; its attention must be "sdpa".
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(config)
        self.fusion = ContextFusionLayer(config)
        self.encoder = BertEncoder(config)
        init_transformer_weights(self)
        for table in self.embeddings.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=config.initializer_range)
        with torch.no_grad():
            self.embeddings.word_embeddings.weight[config.pad_token_id].zero_()

    @staticmethod
    def _keys(attention_mask: torch.Tensor) -> torch.Tensor:
        return attention_mask.bool()[:, None, None, :]  # -> [B, 1, 1, L]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
        """Encode a report.

        Args:
            input_ids: token ids [B, L]; any L up to the configured maximum.
            attention_mask: 1 token, 0 pad, [B, L].
            visual: patch features [B, K, dim] in any order.

        Returns:
            Token features [B, L, dim].
        """
        keys = self._keys(attention_mask)
        fused = self.fusion(self.embeddings(input_ids), keys, visual)
        return self.encoder(fused, attention_mask=keys).last_hidden_state

    def cross_attention(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, visual: torch.Tensor
    ) -> torch.Tensor:
        """Weights [B, heads, L, K] with which each token looks at the patches in the fusion layer."""
        queries = self.fusion.attend(self.embeddings(input_ids), self._keys(attention_mask))
        return self.fusion.cross_attention.weights(queries, visual)
