# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Words find their image regions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.losses.word_region_similarity import word_region_similarity
from radbundles.networks.all_processes import longest_of_processes, rows_of_processes


class WordRegionLoss(nn.Module):
    """Contrast of images and sentences by the regions that the words attend to.

    Cross-entropy in both directions of the similarities of :func:`word_region_similarity`, image i belonging to
    sentence i; computed in float32 under autocast, in one batched pass whose memory ``chunk_size`` bounds.

    Source: the local loss of GLoRIA as DCXFM uses it, temperatures 4, 5, 10, aggregation "sum". Which tokens are
    words says the mask (quirks Q5 and Q6 are decided there).

    An item without a word has no region to find: its sentence is neither a target nor a negative, its image stays a
    negative of the other sentences. The loss of a batch without any word is 0.

    Args:
        temperatures: of the softmax over cells, of the sum over words, and of the cross-entropy.
        chunk_size: (word, cell) pairs held at once; see :func:`word_region_similarity`.
        gather: while training, contrast the images and sentences of every process, gradients included; needs batches
            of one size. Each process compares its own images with all sentences, so that all together do the work
            that one would; the loss is that of the whole batch, the same in every process, and so are the gradients
            once :class:`torch.nn.parallel.DistributedDataParallel` has averaged them. As published each process is by
            itself (quirk Q4).

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self,
        *,
        temperatures: tuple[float, float, float] = (4.0, 5.0, 10.0),
        chunk_size: int | None = None,
        gather: bool = False,
    ) -> None:
        super().__init__()
        if len(temperatures) != 3 or min(temperatures) <= 0:
            raise ValueError(f"temperatures must be three positive numbers, got {temperatures}")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be positive, got {chunk_size}")
        first, second, third = temperatures
        self.temperatures, self.chunk_size, self.gather = (first, second, third), chunk_size, gather

    def forward(self, cells: torch.Tensor, words: torch.Tensor, word_mask: torch.Tensor) -> torch.Tensor:
        """Score the images of a batch against its sentences.

        Args:
            cells: dense image features [B, D, h, w], or [G*B, D, h, w]: G crops of the B images one after the other
                (all first crops, then all second ones), whose losses are averaged.
            words: word vectors [B, L, D].
            word_mask: which positions are words, [B, L] bool.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: if shapes do not fit.
        """
        B = len(words)
        if B == 0 or len(cells) == 0 or len(cells) % B:
            raise ValueError(f"{len(cells)} images are not one or more crops for each of {B} sentences")
        G = len(cells) // B
        words, word_mask = self._sentences(words, word_mask.bool())  # [S, L, D], [S, L]
        similarity = word_region_similarity(
            cells, words, word_mask, temperatures=self.temperatures, chunk_size=self.chunk_size
        )  # [G*B, S]
        similarity = self._images(similarity, G)  # [G*S, S]
        B = len(words)
        has_words = word_mask.any(1).nonzero().flatten()
        W = len(has_words)
        if W == 0:
            return similarity.new_zeros(()) + 0.0 * (cells.sum() + words.sum())  # keeps every parameter in the graph
        similarity = similarity[:, has_words].unflatten(0, (G, B))  # [G, B, W]
        to_text = similarity[:, has_words].flatten(0, 1)  # [G*W, W]
        to_image = similarity.mT.flatten(0, 1)  # [G*W, B]
        own_text = torch.arange(W, device=cells.device).repeat(G)
        return (F.cross_entropy(to_text, own_text) + F.cross_entropy(to_image, has_words.repeat(G))) / 2

    def _sentences(self, words: torch.Tensor, word_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Words of every process, padded to the longest."""
        if not self.gather:
            return words, word_mask
        padding = longest_of_processes(words.shape[1], words.device) - words.shape[1]
        words, word_mask = F.pad(words, (0, 0, 0, padding)), F.pad(word_mask, (0, padding))
        return rows_of_processes(words), rows_of_processes(word_mask.to(torch.uint8)).bool()

    def _images(self, similarity: torch.Tensor, crops: int) -> torch.Tensor:
        """Rows of the images of every process, all first crops of all processes first."""
        if not self.gather:
            return similarity
        by_process = rows_of_processes(similarity).unflatten(0, (-1, crops, len(similarity) // crops))
        return by_process.transpose(0, 1).flatten(0, 2)


def word_region_attention(
    cells: torch.Tensor, words: torch.Tensor, word_mask: torch.Tensor, *, temperature: float = 4.0
) -> torch.Tensor:
    """Where each word of a sentence looks in its own image.

    Args:
        cells: dense image features [B, D, h, w].
        words: word vectors [B, L, D].
        word_mask: which positions are words, [B, L] bool.
        temperature: of the softmax over cells, the first one of :class:`WordRegionLoss`.

    Returns:
        Weights [B, L, h, w], each word's summing to 1; zero for positions that are no words.
    """
    with torch.autocast(cells.device.type, enabled=False):
        flat = cells.flatten(2).to(torch.promote_types(cells.dtype, torch.float32))
        hidden = ~word_mask.bool()[..., None]
        over_words = torch.bmm(words.to(flat.dtype), flat).masked_fill(hidden, -torch.inf).softmax(1)
        over_cells = (temperature * over_words).softmax(2).masked_fill(hidden, 0.0)
        return over_cells.unflatten(2, cells.shape[2:])
