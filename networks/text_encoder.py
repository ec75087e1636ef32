# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Text encoders: one of any size, or a published one."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn
from transformers import BertConfig, BertModel

from radbundles.networks.pretrained_model import load_pretrained_model

logger = logging.getLogger(__name__)


def build_bert(
    *,
    vocab_size: int,
    dim: int = 768,
    layers: int = 12,
    heads: int = 12,
    ffn: int | None = None,
    max_length: int = 512,
    dropout: float = 0.1,
) -> BertModel:
    """Build an untrained BERT without a pooler.

    Args:
        vocab_size: entries of the tokenizer's vocabulary.
        dim: width.
        layers: transformer layers.
        heads: attention heads; a divisor of ``dim``.
        ffn: width of the feed-forward layers, by default four times ``dim``.
        max_length: longest sequence of tokens.
        dropout: of features and of attention.

    Raises:
        ValueError: if ``heads`` does not divide ``dim``.
    """
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * dim if ffn is None else ffn,
        max_position_embeddings=max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    config._attn_implementation = "sdpa"
    return BertModel(config, add_pooling_layer=False)


def load_text_encoder(source: str | Path, *, revision: str | None = None, dropout: float | None = None) -> nn.Module:
    """Load a published text encoder, for example CXR-BERT-general, without its pooler.

    Checkpoints of masked language models load as well: their prediction head is left out. Code that a repository
    brings along is never run, and weights are read from safetensors or else with ``weights_only=True``.

    The log tells the encoder's dropout, since it is the publisher's choice (0.25 in CXR-BERT-specialized).

    Args:
        source: folder with ``config.json`` and weights, or the name of a repository on the Hugging Face Hub.
        revision: commit of that repository, 40 hexadecimal digits; needed for a repository and only there.
        dropout: of features and of attention, instead of what the configuration says.

    Raises:
        ValueError: if a repository is named without a commit, or a tensor of the encoder is missing in the weights.
    """
    changes = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    encoder = load_pretrained_model(source, revision=revision, changes=changes)
    hidden = getattr(encoder.config, "hidden_dropout_prob", None)
    logger.info("Text encoder %s: width %d, hidden dropout %s", source, encoder.config.hidden_size, hidden)
    return encoder
