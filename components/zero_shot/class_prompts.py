# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The prompts of a training's classes, encoded once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from monai.networks.utils import eval_mode, train_mode
from tokenizers import Tokenizer

from radbundles.components.zero_shot.encode_texts import encode_texts
from radbundles.components.zero_shot.prompt_table import PromptTable, prompt_table
from radbundles.components.zero_shot.text_cache import TextCache
from radbundles.networks import DCXFMDense, PromptDraw, prompt_channels
from radbundles.transforms import load_text_tokenizer


class ClassPrompts:
    """Prompts of a fixed list of classes for :class:`~radbundles.losses.DCXFMDenseObjective`.

    They are encoded at the first call, in eval mode and float32, and again only after weights of the text tower have
    changed. Source: DCXFM, stage 2, which encodes the prompts and their denials at every step, most of its time
    (quirk Q14), by a text tower whose dropout is on (quirk Q13).

    Args:
        network: whose text tower encodes.
        classes: names in the prompt table, in the order of the channels of the masks.
        tokenizer: of the text tower, or what :func:`~radbundles.transforms.load_text_tokenizer` loads one from.
        prompts: table of classes, see :func:`prompt_table`.
        style: templates of the prompts in place of the table's own.
        channels: prompt channels of the aggregator.
        draw: what a class of more prompts than channels does, see :func:`~radbundles.networks.prompt_channels`;
            "random" draws anew at each call, by PyTorch's own generator.
        max_length: longest text in tokens.
        words: which tokens are words of a text, see :class:`~radbundles.transforms.TokenizeSentenced`.
        own_terms: take a class that the table does not have as its own term, in place of an error.
        dropout: while the network trains, encode at each call with the dropout of the text tower, as the official code
            does (quirk Q13); costs most of the time of a step (quirk Q14).
        train_text: encode at each call with a gradient, in the tower's mode and the caller's precision, wherever
            gradients are on.

    Raises:
        KeyError: if the table has no such class.
        ValueError: if there is no class, one is named twice, or the aggregator has another number of channels.
    """

    def __init__(
        self,
        network: DCXFMDense,
        *,
        classes: Sequence[str],
        tokenizer: Tokenizer | str | os.PathLike[str],
        prompts: str | os.PathLike[str] | PromptTable = "chest",
        style: str | None = None,
        channels: int = 4,
        draw: PromptDraw = "spread",
        max_length: int = 77,
        words: str = "pieces",
        own_terms: bool = False,
        dropout: bool = False,
        train_text: bool = False,
    ) -> None:
        if isinstance(classes, str) or not len(classes) or len(set(classes)) != len(classes):
            raise ValueError(f"classes must be a list of at least one name, each once, got {classes!r}")
        if channels != network.aggregator.prompt_channels:
            raise ValueError(
                f"channels={channels}, but the aggregator compares with {network.aggregator.prompt_channels} prompts"
            )
        self.network = network
        self.tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else load_text_tokenizer(tokenizer)
        self.channels, self.draw = channels, draw
        self.max_length, self.words = max_length, words
        self.dropout, self.train_text = dropout, train_text
        table = prompt_table(prompts, style=style)
        of_classes = [table.prompts(name, own_term=own_terms).positive for name in classes]
        self.counts = [len(texts) for texts in of_classes]
        self.texts = [text for texts in of_classes for text in texts]
        self._vectors = TextCache(self._encode_frozen, network.text, size=len(self.texts))

    def __call__(self) -> torch.Tensor:
        """Return the prompts [T, channels, D] on the device of the network.

        Raises:
            ValueError: if a prompt has no word that the tokenizer knows.
        """
        if self.train_text and torch.is_grad_enabled():
            vectors = self._encode(self.texts)  # [N, D]
        elif self.dropout and self.network.training:
            vectors = self._encode_frozen(self.texts, mode=train_mode)
        else:
            vectors = self._vectors(self.texts)
        return prompt_channels(vectors, self.counts, self.channels, self.draw)

    def _encode(self, texts: Sequence[str]) -> torch.Tensor:
        tower = self.network.text
        return encode_texts(tower, self.tokenizer, texts, max_length=self.max_length, words=self.words)

    def _encode_frozen(
        self, texts: Sequence[str], mode: Callable[..., AbstractContextManager[None]] = eval_mode
    ) -> torch.Tensor:
        tower = self.network.text
        device = next(tower.parameters()).device
        with mode(tower), torch.no_grad(), torch.autocast(device.type, enabled=False):
            return self._encode(texts)
