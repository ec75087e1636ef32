# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the many boxes a detector scores to the few it finds."""

from __future__ import annotations

import torch
from monai.apps.detection.utils.box_selector import BoxSelector

CANDIDATES = 1000  # boxes of an image that enter the suppression, as in RetinaNet


def select_boxes(
    pred: torch.Tensor,
    image_size: int,
    *,
    score_threshold: float = 0.05,
    nms_iou: float = 0.5,
    max_detections: int = 100,
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Keep the best boxes of each image and suppress those that repeat a better one of the same class.

    MONAI's ``BoxSelector`` and non-maximum suppression. Boxes are cut at the border of the image; empty ones and
    those with a value that is not finite are dropped.

    Args:
        pred: [B, A, 4 + K], A boxes (x0, y0, x1, y1 in pixels) and their scores (0..1) for K classes.
        image_size: side of the image in pixels.
        score_threshold: boxes must score higher than this.
        nms_iou: boxes that overlap a better one by more are dropped.
        max_detections: boxes kept of an image, over all classes.

    Returns:
        Three lists of B tensors: boxes [n, 4], scores [n], sorted from high to low, and classes [n] int64.

    Raises:
        ValueError: if pred has another shape or a setting lies outside its range.
    """
    if pred.ndim != 3 or pred.shape[2] < 5:
        raise ValueError(f"pred must be [B, A, 4 + K], got {tuple(pred.shape)}")
    if not (0 <= score_threshold <= 1 and 0 <= nms_iou <= 1 and max_detections >= 1):
        raise ValueError(
            "score_threshold and nms_iou must lie in 0..1 and max_detections must be 1 or more, "
            f"got {score_threshold}, {nms_iou} and {max_detections}"
        )
    selector = BoxSelector(
        apply_sigmoid=False,
        score_thresh=score_threshold,
        topk_candidates_per_level=CANDIDATES,
        nms_thresh=nms_iou,
        detections_per_img=max_detections,
    )
    found: tuple[list[torch.Tensor], ...] = ([], [], [])
    for image in pred.detach().float().as_subclass(torch.Tensor):
        finite = image[image.isfinite().all(dim=1)]
        one = selector.select_boxes_per_image([finite[:, :4]], [finite[:, 4:]], [image_size, image_size])
        for values, new in zip(found, one, strict=True):
            values.append(new)
    return found[0], found[1], found[2]
