# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Layer that mixes the words of a report with the patches of its image at two scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertAttention, BertIntermediate, BertOutput, BertSelfOutput


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another, without an output projection.

    Args:
        dim: width of both sequences.
        heads: number of heads, a divisor of dim.
        dropout: dropout of the attention weights in training.

    Raises:
        ValueError: if heads does not divide dim.
    """

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"the width {dim} is not a multiple of the number of heads {heads}")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # -> [B, heads, N, dim / heads]

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Let each token of x [B, L, dim] gather from context [B, N, dim]; the result is [B, L, dim]."""
        attended = F.scaled_dot_product_attention(
            self._split(self.query(x)),
            self._split(self.key(context)),
            self._split(self.value(context)),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return attended.transpose(1, 2).flatten(2)

    def weights(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attention weights [B, heads, L, N] of each token of x over the context; each row sums to 1."""
        query, key = self._split(self.query(x)), self._split(self.key(context))
        return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(dim=-1)


class ContextFusionLayer(nn.Module):
    """Text self-attention, then patches (fine scale) and their mean (coarse scale) are added, then an MLP.

    Source: ECAMP, "multi-scale context fusion". Post-norm like BERT, whose parts it is built of.

    Args:
        config: sizes of the text part; its attention must be "sdpa".

    Raises:
        ValueError: if the attention of the config is not "sdpa".
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        # The others would add the boolean mask to the scores without complaint.
        if config._attn_implementation != "sdpa":
            raise ValueError(f'the BertConfig needs attn_implementation="sdpa", got {config._attn_implementation!r}')
        dim = config.hidden_size
        self.attention = BertAttention(config)
        self.cross_attention = CrossAttention(
            dim, config.num_attention_heads, dropout=config.attention_probs_dropout_prob
        )
        self.global_projection = nn.Linear(dim, dim)
        self.merge = BertSelfOutput(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config)

    def attend(self, text: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Self-attention step alone: the queries [B, L, dim] of the cross-attention."""
        return self.attention(text, mask)[0]

    def forward(self, text: torch.Tensor, mask: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
        """Fuse a report with its image.

        Args:
            text: embedded tokens [B, L, dim].
            mask: True where a key may be attended to, [B, 1, 1, L] bool.
            visual: patch features [B, K, dim] in any order.

        Returns:
            Fused tokens [B, L, dim].
        """
        text = self.attend(text, mask)
        coarse = self.global_projection(visual.mean(dim=1, keepdim=True))  # -> [B, 1, dim]
        fused = self.merge(self.cross_attention(text, visual) + coarse, text)
        return self.output(self.intermediate(fused), fused)
