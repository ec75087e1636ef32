# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the best, the middle and the worst mask of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radbundles.components.evaluation.segmentation_rows import MaskRow, unpack_mask
from radbundles.components.evaluation.segmentation_table import SegmentationTable
from radbundles.components.reports.blocks import ImageGrid, Picture
from radbundles.transforms import FitRadiograph, LoadRadiograph, LoadTargetsd

__all__ = ["mask_pictures"]

MOST_CLASSES = 8
# Neither is a gray of a radiograph or a red or yellow of a fundus; they differ in brightness too.
TRUTH, PREDICTED = np.array([0.25, 0.9, 1.0]), np.array([1.0, 0.2, 0.8])


def mask_pictures(
    table: SegmentationTable, rows: Mapping[str, Sequence[MaskRow]], items: Mapping[str, Mapping[str, Any]]
) -> list[ImageGrid]:
    """Overlays of three images of each class, by their Dice among the images where the class is present.

    Args:
        table: all rows; its ids are those of ``rows``.
        rows: of each image by id.
        items: datalist items by id, with ``image`` and ``targets``.

    Returns:
        One section, or none where no class is present anywhere. Beyond eight classes it shows the eight with the
        lowest mean.
    """
    dice = table.scores["dice"]
    shown = [place for place in range(len(table.classes)) if (table.present & (table.places == place)).any()]
    if not shown:
        return []
    means = {place: np.nanmean(dice[table.places == place]) for place in shown}
    left_out = len(shown) - MOST_CLASSES
    chosen = sorted(sorted(shown, key=lambda place: means[place])[:MOST_CLASSES])
    grid = []
    for place in chosen:
        member = np.flatnonzero(table.present & (table.places == place))
        ordered = member[np.argsort(dice[member], kind="stable")]
        picked = [ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1]]
        grid.append([_picture(table, int(row), rows, items) for row in picked])
    text = "Light blue: the true outline. Pink: the predicted one, drawn over it."
    if left_out > 0:
        text += f" {left_out} further classes, all with a higher mean Dice, are not shown."
    return [ImageGrid(title="Masks, by Dice", columns=["worst", "middle", "best"], rows=grid, text=text)]


def _picture(
    table: SegmentationTable,
    number: int,
    rows: Mapping[str, Sequence[MaskRow]],
    items: Mapping[str, Mapping[str, Any]],
) -> Picture:
    id, place = table.ids[number], int(table.places[number])
    name, dice = table.classes[place], table.scores["dice"][number]
    row = next(row for row in rows[id] if row.place == place)
    image = LoadRadiograph(color="rgb")(items[id]["image"])
    height, width = row.shape
    fitted = FitRadiograph(max(height, width))(image)
    sample = {"id": id, "image": fitted, "targets": items[id]["targets"], "labels": [1]}
    truth = LoadTargetsd([name])(sample)["masks"].as_tensor()[0].numpy() != 0
    square = fitted.as_tensor()  # type: ignore[attr-defined]
    top, left = (len(truth) - height) // 2, (len(truth) - width) // 2
    window = (slice(top, top + height), slice(left, left + width))
    pixels = square[:, window[0], window[1]].permute(1, 2, 0).numpy().copy()
    pixels[_border(truth[window])] = TRUTH
    pixels[_border(unpack_mask(row))] = PREDICTED
    caption = f"{name}, {id}: {dice:.3f}"
    return Picture(image=pixels, alt=f"{name}: true and predicted outline, Dice {dice:.3f}", caption=caption)


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask next to what is outside of it, within the picture."""
    outside = torch.from_numpy(~mask)[None, None].float()
    near = F.max_pool2d(outside, 3, stride=1, padding=1)[0, 0].numpy() > 0
    return np.asarray(mask & near)
