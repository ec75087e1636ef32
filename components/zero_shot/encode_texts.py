# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from radbundles.transforms import tokenize_sentences


def encode_texts(
    tower: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int = 77, words: str = "pieces"
) -> torch.Tensor:
    """Encode texts at once, in the mode of the tower and with a gradient where the caller has set so.

    Args:
        tower: ids, attention mask and word mask, each [N, L] -> words [N, L, D] and sentences [N, D].
        tokenizer: of the tower.
        texts: N of them.
        max_length: longest text in tokens; the rest is cut off (quirk Q40).
        words: which tokens are words of a text, see :class:`~radbundles.transforms.TokenizeSentenced`.

    Returns:
        [N, D] float32, on the device of the tower.

    Raises:
        ValueError: if there is no text, or one has no word that the tokenizer knows.
    """
    unknown = tokenizer.token_to_id("[UNK]")
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        if all(number == unknown for number in encoding.ids):
            raise ValueError(f"no word of {text!r} is in the tokenizer's vocabulary; say it in other words")
    tokens = tokenize_sentences(tokenizer, texts, max_length=max_length, words=words)
    device = next(tower.parameters()).device
    _, sentences = tower(*(tokens[key].to(device) for key in ("input_ids", "attention_mask", "word_mask")))
    return F.normalize(sentences.float(), dim=1)
