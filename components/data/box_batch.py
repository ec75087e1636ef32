# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of images with boxes -> batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor

from radbundles.components.data.collate import Batch, _stack

BOXES = {"boxes": torch.float32, "box_classes": torch.int64, "stored_boxes": torch.float64}
STACKED = ("image", "size")


def collate_boxes(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Collate samples of :class:`~radbundles.transforms.LoadBoxesd`, as the function of a ``DataLoader``.

    Images have different numbers of boxes, so these stay lists. The batch holds ``image`` ``[B, C, S, S]`` float32;
    ``boxes``, a list of B tensors ``[n, 4]`` float32 (x0, y0, x1, y1 in pixels of the square, ends exclusive);
    ``box_classes``, a list of B tensors ``[n]`` int64; and, for judging, ``stored_boxes``, a list of B tensors
    ``[m, 4]`` float64 in pixels of the stored image, and ``size`` ``[B, 2]`` int64 (height, width); ``id``, a list.
    Everything else stays behind. Tensors are plain.

    An augmentation may drop boxes that it moves out of the square, but never a stored box.

    Raises:
        ValueError: if samples lack a tensor, their images differ in shape, or boxes and classes in number; names the
            ``id`` of a sample.
    """
    batch: Batch = {key: _stack(samples, key) for key in STACKED}
    for key, dtype in BOXES.items():
        batch[key] = [_plain(sample, key).to(dtype) for sample in samples]
    batch["id"] = [sample["id"] for sample in samples]
    for id, boxes, classes in zip(batch["id"], batch["boxes"], batch["box_classes"], strict=True):
        if boxes.shape != (len(classes), 4):
            raise ValueError(f"sample {id!r}: boxes of the shape {list(boxes.shape)}, but {len(classes)} classes")
    return batch


def _plain(sample: Mapping[str, Any], key: str) -> torch.Tensor:
    if key not in sample:
        raise ValueError(f"sample {sample.get('id')!r} has no {key!r}: LoadBoxesd makes it")
    value = sample[key]
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)
