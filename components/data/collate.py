# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-training samples -> batch, without the padding that no text of the batch needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.data import MetaTensor

IMAGE_KEYS = ("image", "window")
REPORT_KEYS = ("labels", "input_ids", "attention_mask", "token_weights", "masked", "entity")
LABEL_KEYS = ("image", "labels")
MASK_KEYS = ("image", "masks", "labels")
VIEW_KEYS = ("image_global", "image_local", "image_labels", "text_labels")
SENTENCE_KEYS = ("input_ids", "attention_mask", "word_mask")
DTYPES = {
    "image": torch.float32,
    "window": torch.float32,
    "image_labels": torch.float32,
    "text_labels": torch.float32,
    "word_mask": torch.bool,
}

Batch = dict[str, Any]


def collate_reports(*, trim: bool = True, multiple: int = 8) -> Callable[[Sequence[Mapping[str, Any]]], Batch]:
    """Return a collate function for a ``DataLoader`` of image-report samples.

    The batch holds what the samples have of ``image`` ``[B, C, H, W]`` and ``window`` ``[B, 4]`` (float32),
    ``labels``, ``input_ids``, ``attention_mask``, ``token_weights``, ``masked`` and ``entity`` (each ``[B, L]``), and
    ``id``, a list. Everything else, the report's text above all, stays behind. Tensors are plain; a batch of one keeps
    its axis (the official collate function lost it, quirk Q1).

    Args:
        trim: cut the reports to the longest of the batch. ``False`` keeps their padded length, which the official loss
            counts padding in (quirk Q10).
        multiple: that length is rounded up to a multiple of this, up to the padded one.

    Returns:
        Function from a list of samples to a batch; it can be pickled for worker processes.

    Raises:
        ValueError: if ``multiple`` is not positive, or (in the function) if samples differ in their keys or shapes;
            names the ``id`` of a sample.
    """
    return _collate_function(IMAGE_KEYS, REPORT_KEYS, trim, multiple)


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
    return _collate_function((*VIEW_KEYS, *extra), SENTENCE_KEYS, trim, multiple)


def collate_labels(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Collate samples of images with labels, as the function of a ``DataLoader``.

    The batch holds ``image`` ``[B, C, S, S]`` float32, ``labels`` ``[B, K]`` int64 (1 present, 0 absent, -1 unknown)
    and ``id``, a list. Everything else stays behind. Tensors are plain.

    Raises:
        ValueError: if samples lack a tensor, or differ in their shapes; names the ``id`` of a sample.
    """
    return {key: _stack(samples, key) for key in LABEL_KEYS} | {"id": [sample["id"] for sample in samples]}


def collate_masks(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Collate samples of images with masks of several classes, as the function of a ``DataLoader``.

    The batch holds ``image`` ``[B, C, S, S]`` float32, ``masks`` ``[B, T, S, S]`` uint8, ``labels`` ``[B, T]`` int64
    (1 present, 0 absent, -1 unknown), and ``id`` and ``source``, lists. Everything else stays behind. Tensors are
    plain.

    Raises:
        ValueError: if samples lack a tensor, or differ in their shapes; names the ``id`` of a sample.
    """
    batch: Batch = {key: _stack(samples, key) for key in MASK_KEYS}
    batch |= {key: [sample[key] for sample in samples] for key in ("id", "source") if key in samples[0]}
    return batch


def _collate_function(
    stacked: Sequence[str], padded: Sequence[str], trim: bool, multiple: int
) -> Callable[[Sequence[Mapping[str, Any]]], Batch]:
    """Stack some keys; stack others, tensors [L], and trim them by ``attention_mask``, itself one of them."""
    if multiple < 1:
        raise ValueError(f"multiple must be at least 1, not {multiple}")
    return partial(_collate, stacked=tuple(stacked), padded=tuple(padded), trim=trim, multiple=multiple)


def _collate(
    samples: Sequence[Mapping[str, Any]],
    *,
    stacked: tuple[str, ...],
    padded: tuple[str, ...],
    trim: bool,
    multiple: int,
) -> Batch:
    batch: Batch = {key: _stack(samples, key) for key in (*stacked, *padded) if key in samples[0]}
    if "id" in samples[0]:
        batch["id"] = [sample["id"] for sample in samples]
    if trim and "attention_mask" in batch:
        longest = int(batch["attention_mask"].sum(dim=1).max())
        length = -(-longest // multiple) * multiple
        batch.update({key: batch[key][:, :length].contiguous() for key in padded if key in batch})
    return batch


def _stack(samples: Sequence[Mapping[str, Any]], key: str) -> torch.Tensor:
    tensors: list[torch.Tensor] = []
    for sample in samples:
        if key not in sample:
            raise ValueError(f"sample {sample.get('id')!r} has no {key!r}, other samples of its batch have")
        value = sample[key]
        tensor = value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)
        if tensors and tensor.shape != tensors[0].shape:
            raise ValueError(
                f"sample {sample.get('id')!r}: {key!r} has the shape {tuple(tensor.shape)}, "
                f"other samples of its batch {tuple(tensors[0].shape)}"
            )
        tensors.append(tensor)
    return torch.stack(tensors).to(DTYPES.get(key, tensors[0].dtype))
