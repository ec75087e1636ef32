# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Mean average precision while a detector is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.utils import CommonKeys as Keys

from radbundles.components.metrics.detection_matches import COCO_IOUS, ImageBoxes, match_boxes
from radbundles.components.metrics.detection_rows import detected_boxes
from radbundles.components.metrics.detection_scores import average_precision, class_mean
from radbundles.components.metrics.gather import gather_rows

__all__ = ["DetectionMAP"]


class DetectionMAP(Metric):
    """COCO's mean average precision over all images of all processes, in the pixels of the stored images.

    Made for the validations of a training, on batches of :func:`~radbundles.components.data.collate_boxes` and what
    :class:`~radbundles.losses.DetectionObjective` returns in eval mode. Images without a true box count: what is found
    there is a false alarm (the official figure skips them, quirk Q37). Classes without a true box are left out of the
    mean. Judge a trained model by ``evaluate.json``, whose scores have intervals.

    Args:
        classes: names of the classes.
        ious: overlaps of a hit over which the mean is taken, by default .50, .55, ... .95. ``[0.5]`` gives AP50, which
            rises earlier in training.
        device: taken for the sake of uniform configs; boxes are matched on the CPU.

    Raises:
        ValueError: (when computed) no image has a true box.
    """

    required_output_keys = (Keys.IMAGE, Keys.PRED)

    def __init__(
        self,
        classes: Sequence[str],
        *,
        ious: Sequence[float] = COCO_IOUS,
        device: str | torch.device = "cpu",
    ) -> None:
        self.classes = tuple(classes)
        self.ious = tuple(ious)
        super().__init__(device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all images."""
        self._rows: dict[str, ImageBoxes] = {}

    @reinit__is_reduced
    def update(self, output: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        """Add a batch and what was found in it; an image that comes twice counts once."""
        self._rows |= detected_boxes(*output, len(self.classes))

    def compute(self) -> float:
        """Mean average precision over classes and overlaps."""
        images = list(gather_rows(self._rows).values())
        if not any(len(image.truths) for image in images):
            raise ValueError(
                f"none of {len(images)} images has a box of {list(self.classes)}, so there is no average precision: "
                "put images with boxes into the validation section, or choose the model by its loss"
            )
        weights = np.ones((1, len(images)))
        per_class = [
            average_precision(match_boxes(images, number, self.ious), weights)[0].mean()
            for number in range(len(self.classes))
        ]
        return float(class_mean(np.array(per_class)))
