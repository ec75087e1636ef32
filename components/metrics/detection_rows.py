# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Detections and truth of a batch, image by image, in the pixels of the stored images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_numpy

from radbundles.components.metrics.detection_matches import ImageBoxes
from radbundles.transforms.fitted_frame import FittedFrame

__all__ = ["check_boxes", "detected_boxes"]

# What is written of a box and of a score: a result is computed from what stands in its file.
PIXEL_DIGITS, SCORE_DIGITS = 3, 9


def detected_boxes(batch: Mapping[str, Any], pred: Mapping[str, Any], classes: int) -> dict[str, ImageBoxes]:
    """Rows of one batch by id.

    Detections are cut at the border of their image. What lies in the padding of the square alone is dropped, as it is
    where a detector answers.

    Args:
        batch: of :func:`~radbundles.components.data.collate_boxes`.
        pred: lists of B: ``boxes`` ([n, 4] in pixels of the square), ``scores`` ([n], 0..1) and ``box_classes`` ([n]).
        classes: their number.

    Raises:
        ValueError: numbers of boxes, scores and classes that differ, a box that is not finite, a score out of 0..1, or
            a class that does not exist; names the image.
    """
    side = batch["image"].shape[-1]
    rows = {}
    for place, id in enumerate(batch["id"]):
        height, width = (int(extent) for extent in batch["size"][place])
        row = ImageBoxes(
            boxes=convert_to_numpy(pred["boxes"][place].detach().double()),
            scores=convert_to_numpy(pred["scores"][place].detach().double()).round(SCORE_DIGITS),
            classes=convert_to_numpy(pred["box_classes"][place]).astype(np.intp),
            truths=convert_to_numpy(batch["stored_boxes"][place].double()),
            truth_classes=convert_to_numpy(batch["box_classes"][place]).astype(np.intp),
        )
        try:
            check_boxes(row, classes)
        except ValueError as error:
            raise ValueError(f"id {id!r}: {error}") from None
        stored = FittedFrame(height, width, side).boxes_to_original(torch.from_numpy(row.boxes)).numpy()
        inside = (stored[:, 2:] > stored[:, :2]).all(axis=1)
        rows[id] = row._replace(
            boxes=stored[inside].round(PIXEL_DIGITS), scores=row.scores[inside], classes=row.classes[inside]
        )
    return rows


def check_boxes(row: ImageBoxes, classes: int) -> None:
    """Refuse boxes of one image that do not fit together with a ValueError."""
    for what, boxes, numbers in (
        ("detections", row.boxes, row.classes),
        ("true boxes", row.truths, row.truth_classes),
    ):
        if boxes.shape != (len(numbers), 4):
            raise ValueError(f"{what} of the shape {list(boxes.shape)}, but {len(numbers)} classes")
        if not np.isfinite(boxes).all():
            raise ValueError(f"{what} that are not finite")
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
            raise ValueError(f"{what} of classes {sorted(set(numbers.tolist()))}, but there are {classes}")
    if row.scores.shape != row.classes.shape:
        raise ValueError(f"{len(row.scores)} scores of {len(row.classes)} detections")
    if not ((row.scores >= 0) & (row.scores <= 1)).all():
        raise ValueError("scores that are not between 0 and 1")
