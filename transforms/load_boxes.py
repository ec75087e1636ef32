# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of an item -> tensors that a detector learns from, and the truth that it is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from radbundles.transforms.read_error import RadiographReadError

__all__ = ["LoadBoxesD", "LoadBoxesDict", "LoadBoxesd"]


class LoadBoxesd(MapTransform):
    """Turn the boxes of an item into tensors, cut at the border of its image.

    Put it between :class:`~radbundles.transforms.LoadRadiographd` and
    ``FitRadiographd("image", size=..., box_keys="boxes")``, which moves the boxes into the square.

    Added to the sample, n being the number of boxes of all classes, none for a negative image:

    - ``boxes``, float32 [n, 4] as x0, y0, x1, y1 in pixels of the stored image, ends exclusive;
    - ``box_classes``, int64 [n], places in ``classes``;
    - ``stored_boxes``, float64 [n, 4], the same boxes; transforms leave them alone, and detections are judged by them;
    - ``size``, int64 [2], height and width of the stored image. It takes the place of the item's ``size``.

    Args:
        classes: the classes of the run. The item's boxes, ``{class: [[x0, y0, x1, y1]]}``, must be of these, as
            :func:`~radbundles.components.data.load_detection_items` sees to.
        image_key: key of the loaded image, not yet fitted.
        box_key: key of the boxes.

    Raises:
        ValueError: when classes are not a list of different names, or the image is fitted already.
        RadiographReadError: when a box is not four finite numbers, is inverted, without area or outside of the image,
            is of a class that is none of the run, or the image is not of the size that the item states; names item,
            class, box, reason and mend.
    """

    def __init__(self, classes: Sequence[str], *, image_key: str = "image", box_key: str = "boxes") -> None:
        super().__init__((image_key, box_key))
        if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes must be a list of different names, got {classes!r}")
        self.numbers = {name: number for number, name in enumerate(classes)}
        self.image_key = image_key
        self.box_key = box_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Replace the boxes by tensors."""
        sample = dict(data)
        image = sample[self.image_key]
        if isinstance(image, MetaTensor) and "fitted_frame" in image.meta:
            raise ValueError("the image is fitted already: put LoadBoxesd in front of FitRadiographd")
        height, width = (int(extent) for extent in image.shape[-2:])
        who = f"item {sample.get('id')!r}"
        if "size" in sample and [int(extent) for extent in sample["size"]] != [width, height]:
            raise RadiographReadError(
                f"{who}: its size is {list(sample['size'])} in the datalist, but the image is {width} x {height} "
                "(width x height), so its boxes may have been drawn on another one. Correct the datalist"
            )
        rows: list[list[float]] = []
        numbers: list[int] = []
        for name, boxes in sample.get(self.box_key, {}).items():
            if name not in self.numbers:
                raise RadiographReadError(
                    f"{who}: has boxes of {name!r}, which is none of the classes {list(self.numbers)}. "
                    "Add it, or take the items from load_detection_items"
                )
            for box in boxes:
                try:
                    rows.append(_cut(box, width, height))
                except ValueError as error:
                    raise RadiographReadError(f"{who}, class {name!r}: the box {list(box)} {error}") from None
                numbers.append(self.numbers[name])
        stored = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
        sample[self.box_key] = stored.float()
        sample["stored_boxes"] = stored
        sample["box_classes"] = torch.tensor(numbers, dtype=torch.int64)
        sample["size"] = torch.tensor([height, width])
        return sample


def _cut(box: Sequence[float], width: int, height: int) -> list[float]:
    """Cut a box at the border of its image; ValueError, to follow "the box ...", when nothing is left."""
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise ValueError("is not four finite numbers. Correct it: x0, y0, x1, y1")
    x0, y0, x1, y1 = map(float, box)
    if x0 >= x1 or y0 >= y1:
        raise ValueError("is inverted or has no area. Correct it: x0, y0, x1, y1, ends exclusive")
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise ValueError(
            f"lies outside of the image, {width} x {height} (width x height). Correct it, or check that it was drawn "
            "on this image"
        )
    return [max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))]


LoadBoxesD = LoadBoxesDict = LoadBoxesd
