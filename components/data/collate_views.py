# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of image crops and one sentence -> batch of self-distilled image-text pre-training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from radbundles.components.data.collate import Batch, collate_keys

VIEW_KEYS = ("image_global", "image_local", "image_labels", "text_labels")
SENTENCE_KEYS = ("input_ids", "attention_mask", "word_mask")


def collate_views(
    *, trim: bool = True, multiple: int = 8, extra: Sequence[str] = ()
) -> Callable[[Sequence[Mapping[str, Any]]], Batch]:
    """Return a collate function for a ``DataLoader`` of samples of crops, a sentence and labels.

    The batch holds what the samples have of ``image_global`` ``[B, G, C, S, S]``, ``image_local`` ``[B, V, C, s, s]``,
    ``image_labels`` and ``text_labels`` (each ``[B, K]`` float32), ``input_ids``, ``attention_mask`` and ``word_mask``
    (each ``[B, L]``), and ``id``, a list. Everything else, texts and whole images above all, stays behind. Tensors are
    plain.

    Args:
        trim: cut the sentences to the longest of the batch.
        multiple: that length is rounded up to a multiple of this, up to the padded one.
        extra: further keys to stack, for example ``["image_crops"]``.

    Returns:
        Function from a list of samples to a batch; it can be pickled for worker processes.

    Raises:
        ValueError: if ``multiple`` is not positive, or (in the function) if samples differ in their keys or shapes;
            names the ``id`` of a sample.
    """
    return collate_keys((*VIEW_KEYS, *extra), SENTENCE_KEYS, trim=trim, multiple=multiple)
