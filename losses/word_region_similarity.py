# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""How well every sentence fits every image, word by word, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

CHUNK_SIZE = {"cpu": 2**18, "cuda": 2**24}
"""Default number of (word, cell) pairs in work: what stays in a core's cache, and what keeps a GPU busy."""
KEPT = {"cpu": 2**22, "cuda": 2**24}
"""Greatest number of pairs whose attention is kept for the backward pass, 8 bytes each, instead of computed again."""
LENGTH_STEP = 4
"""Sentences whose lengths round up to the same multiple are taken together: few kernels, little padding."""
NORM_PRODUCT_MIN = 1e-8
TINY = 1e-30


def word_region_similarity(
    cells: torch.Tensor,
    words: torch.Tensor,
    word_mask: torch.Tensor,
    *,
    temperatures: tuple[float, float, float] = (4.0, 5.0, 10.0),
    chunk_size: int | None = None,
) -> torch.Tensor:
    """Score every sentence against every image through the regions its words attend to.

    For image b with cells F (D x N) and sentence s with words w_k:

    - A_kn = w_k . F_n, softmax over the words k of the sentence, then softmax over the cells n of t0 times that;
    - r_k = cosine of w_k and its context, the cells weighted so;
    - S_bs = t2 * log sum_k exp(t1 * r_k).

    Nothing of size words x cells x images outlives its chunk: the backward pass computes it again, so that memory
    does not grow with the batch beyond the gradients. Batches so small that it makes no difference (:data:`KEPT`) are
    spared that. Not differentiable twice.

    Source: GLoRIA's local similarity as DCXFM uses it (raw dot products, no normalization: quirk Q10).

    Args:
        cells: dense image features [I, D, h, w] (or [I, D, N]); images need not be as many as sentences.
        words: word vectors [S, L, D].
        word_mask: which positions are words, [S, L] bool, in any arrangement.
        temperatures: t0, t1, t2.
        chunk_size: (word, cell) pairs held at once, over all images of the chunk; three buffers
            of that many numbers are kept. By default 2^18 on a CPU and 2^24 elsewhere. One image with one sentence is
            the least that a chunk holds. With a size of one's own nothing is kept for the backward pass.

    Returns:
        Similarities [I, S], float32 (float64 for float64 input) also under autocast; -inf, without gradient, for a
        sentence without words.

    Raises:
        ValueError: if shapes do not fit or a number is not positive.
    """
    if cells.ndim not in (3, 4) or words.ndim != 3 or cells.shape[1] != words.shape[2]:
        raise ValueError(f"cells {tuple(cells.shape)} must be [I, D, h, w] and words {tuple(words.shape)} [S, L, D]")
    if word_mask.shape != words.shape[:2]:
        raise ValueError(f"word_mask {tuple(word_mask.shape)} must be {tuple(words.shape[:2])}, as words")
    if min(temperatures) <= 0:
        raise ValueError(f"temperatures must be positive, got {temperatures}")
    kept = 0 if chunk_size is not None else KEPT.get(cells.device.type, KEPT["cuda"])
    if chunk_size is None:
        chunk_size = CHUNK_SIZE.get(cells.device.type, CHUNK_SIZE["cuda"])
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be positive, got {chunk_size}")
    dtype = torch.promote_types(torch.promote_types(cells.dtype, words.dtype), torch.float32)
    with torch.autocast(cells.device.type, enabled=False):
        word_mask = word_mask.bool()
        lengths, order = word_mask.sum(1).sort(stable=True)
        counts = lengths.tolist()  # the one wait for the device
        longest = max(counts, default=0)
        # Words to the front of each sentence, sentences by length.
        positions = torch.argsort(~word_mask, dim=1, stable=True)[order, :longest]
        packed = words[order[:, None], positions].to(dtype)
        beyond = torch.arange(longest, device=words.device) >= lengths[:, None]
        packed = packed.masked_fill(beyond[..., None], 0.0)
        flat = cells.flatten(2).to(dtype)
        keep = sum(counts) * flat.shape[2] * len(flat) <= kept
        similarity = _Similarity.apply(flat, packed, lengths, counts, temperatures, chunk_size, keep)
        return similarity[:, order.argsort()]


class _Group(NamedTuple):
    """Sentences of about one length, and how many images they are scored against at once."""

    rows: slice
    length: int
    padded: bool
    images: int


def _groups(counts: list[int], cells: int, chunk_size: int) -> Iterator[_Group]:
    """Cut sentences in ascending order of length into groups that fit the chunk."""
    start = counts.count(0)
    while start < len(counts):
        longest = -(-counts[start] // LENGTH_STEP) * LENGTH_STEP
        stop = start + 1
        while (
            stop < len(counts) and counts[stop] <= longest and (stop + 1 - start) * counts[stop] * cells <= chunk_size
        ):
            stop += 1
        length = counts[stop - 1]
        pairs = (stop - start) * length * cells
        yield _Group(slice(start, stop), length, counts[start] != length, max(1, chunk_size // pairs))
        start = stop


class _Attention:
    """The two softmaxes of one group of sentences, written over and over into the same buffers."""

    def __init__(
        self, cells: torch.Tensor, words: torch.Tensor, lengths: torch.Tensor, group: _Group, scale: float
    ) -> None:
        self.group, self.scale = group, scale
        self.sentences = group.rows.stop - group.rows.start
        self.words = words[group.rows, : group.length].flatten(0, 1)  # [P, D]
        self.norm = torch.linalg.vector_norm(self.words, dim=1)
        self.padding: torch.Tensor | None = None
        if group.padded:
            self.padding = torch.arange(group.length, device=cells.device) >= lengths[group.rows, None]
        shape = min(group.images, len(cells)), len(self.words), cells.shape[2]
        self.over_words, self.over_cells, self.scratch = (cells.new_empty(shape) for _ in range(3))

    def by_sentence(self, values: torch.Tensor) -> torch.Tensor:
        """[b, P, ...] -> [b, s, l, ...]."""
        return values.unflatten(1, (self.sentences, self.group.length))

    def hide(self, values: torch.Tensor, fill: float) -> torch.Tensor:
        """Overwrite what belongs to padding words in [b, P, ...]."""
        if self.padding is not None:
            padding = self.padding.flatten()
            values.masked_fill_(padding.view(1, -1, *(1,) * (values.ndim - 2)), fill)
        return values

    def __call__(self, chunk: torch.Tensor, *, keep: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cells [b, D, N] -> softmax over words [b, P, N], softmax over cells [b, P, N], context [b, P, D].

        What is to be kept has memory of its own; the rest stands until the next call.
        """
        over_words, over_cells, scratch = (x[: len(chunk)] for x in (self.over_words, self.over_cells, self.scratch))
        if keep:
            over_words, over_cells = torch.empty_like(over_words), torch.empty_like(over_cells)
        images = len(chunk)
        torch.bmm(self.words.expand(images, -1, -1), chunk, out=scratch)
        self.hide(scratch, -torch.inf)
        torch.softmax(self.by_sentence(scratch), 2, out=self.by_sentence(over_words))
        torch.mul(over_words, self.scale, out=scratch)
        torch.softmax(scratch, 2, out=over_cells)
        return over_words, over_cells, torch.bmm(over_cells, chunk.mT)


class _Similarity(torch.autograd.Function):
    """Cells [I, D, N], words [S, L, D] in ascending order of length -> [I, S]."""

    @staticmethod
    def forward(
        ctx: Any,
        cells: torch.Tensor,
        words: torch.Tensor,
        lengths: torch.Tensor,
        counts: list[int],
        temperatures: tuple[float, float, float],
        chunk_size: int,
        keep: bool,
    ) -> torch.Tensor:
        log_sum = cells.new_full((len(cells), len(words)), -torch.inf)
        cosines: list[torch.Tensor] = []
        kept: list[torch.Tensor] = []
        for group in _groups(counts, cells.shape[2], chunk_size):
            attend = _Attention(cells, words, lengths, group, temperatures[0])
            parts = []
            for chunk in cells.split(group.images):
                attention = attend(chunk, keep=keep)
                context = attention[2]
                norms = torch.linalg.vector_norm(context, dim=2).mul_(attend.norm).clamp_(min=NORM_PRODUCT_MIN)
                parts.append((context * attend.words).sum(2).div_(norms))
                if keep:
                    kept += attention
            cosine = torch.cat(parts)  # [I, P]
            scores = attend.by_sentence(attend.hide(cosine * temperatures[1], -torch.inf))
            log_sum[:, group.rows] = scores.logsumexp(2)
            cosines.append(cosine)
        ctx.save_for_backward(cells, words, lengths, log_sum, *cosines, *kept)
        ctx.arguments = counts, temperatures, chunk_size, len(cosines)
        return log_sum * temperatures[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        cells, words, lengths, log_sum, *saved = ctx.saved_tensors
        counts, temperatures, chunk_size, groups_saved = ctx.arguments
        cosines, kept = saved[:groups_saved], iter(saved[groups_saved:])
        scale, word_scale, sentence_scale = temperatures
        cells_gradient, words_gradient = torch.zeros_like(cells), torch.zeros_like(words)
        with torch.autocast(cells.device.type, enabled=False):
            groups = _groups(counts, cells.shape[2], chunk_size)
            for group, cosine in zip(groups, cosines, strict=True):
                attend = _Attention(cells, words, lengths, group, scale)
                share = attend.by_sentence(cosine * word_scale).sub_(log_sum[:, group.rows, None]).exp_()
                share.mul_(gradient[:, group.rows, None] * (word_scale * sentence_scale))
                cosine_gradient = attend.hide(share.flatten(1, 2), 0.0)
                group_gradient = torch.zeros_like(attend.words)
                for start in range(0, len(cells), group.images):
                    images = slice(start, start + group.images)
                    _chunk_gradient(
                        attend,
                        tuple(islice(kept, 3)) or attend(cells[images]),
                        cells[images],
                        cosine[images],
                        cosine_gradient[images],
                        cells_gradient[images],
                        group_gradient,
                    )
                words_gradient[group.rows, : group.length] = group_gradient.unflatten(0, (-1, group.length))
        return cells_gradient, words_gradient, *(None,) * 5


def _chunk_gradient(
    attend: _Attention,
    attention: tuple[torch.Tensor, ...],
    cells: torch.Tensor,
    cosine: torch.Tensor,
    cosine_gradient: torch.Tensor,
    cells_gradient: torch.Tensor,
    words_gradient: torch.Tensor,
) -> None:
    """Add the gradients of one chunk: its attention, cells [b, D, N], cosine and its gradient [b, P]."""
    words = attend.words
    over_words, over_cells, context = attention
    norm = torch.linalg.vector_norm(context, dim=2)
    norms = norm * attend.norm
    # r = w.c / (|w||c|): dr/dc = w / (|w||c|) - r c / |c|^2, and likewise for w; a clamped product is a constant.
    along = cosine_gradient / norms.clamp(min=NORM_PRODUCT_MIN)
    across = torch.where(norms >= NORM_PRODUCT_MIN, cosine_gradient * cosine, 0.0)
    words_gradient.add_((along[..., None] * context).sum(0))
    words_gradient.addcmul_(words, (across.sum(0) / attend.norm.square().clamp_(min=TINY))[:, None], value=-1)
    context_gradient = (along[..., None] * words).addcmul_(
        context, (across / norm.square().clamp_(min=TINY))[..., None], value=-1
    )
    cells_gradient.baddbmm_(context_gradient.mT, over_cells)
    # Both softmaxes backwards. That of the cells lacks its mean term: r does not change with the length of the
    # context, so the gradient, weighted over the cells, is zero already.
    product = torch.bmm(context_gradient, cells, out=attend.scratch[: len(cells)]).mul_(over_cells).mul_(over_words)
    by_sentence = attend.by_sentence(product)
    total = by_sentence.sum(2, keepdim=True)
    by_sentence.addcmul_(attend.by_sentence(over_words), total, value=-1)
    cells_gradient.baddbmm_(words.mT.expand(len(cells), -1, -1), product, alpha=attend.scale)
    words_gradient.add_(torch.bmm(product, cells.mT).sum(0), alpha=attend.scale)
