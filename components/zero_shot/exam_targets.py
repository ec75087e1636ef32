# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a zero-shot exam asks of an item of a datalist, and where the truth lies in the fitted square."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from radbundles.components.zero_shot.prompt_table import PromptTable, prompt_table
from radbundles.transforms import FitRadiograph, FittedFrame, LoadMaskd

logger = logging.getLogger(__name__)
OTHER_PHRASE = "other phrase"


def exam_classes(items: Sequence[Mapping[str, Any]], prompts: str | PromptTable = "chest") -> list[str]:
    """Return the names in labels, masks and boxes of a section that the prompt table knows, sorted.

    Those it does not know are told in the log, since no question can be asked about them.

    Args:
        items: of :func:`~radbundles.components.data.load_datalist`.
        prompts: the table, or what :func:`prompt_table` reads one from.
    """
    table = prompt_table(prompts)
    names = {name for item in items for key in ("labels", "masks", "boxes") for name in item.get(key, ())}
    if unknown := sorted(name for name in names if name not in table):
        logger.warning("Left out of the exam, for the prompt table has no such class: %s", ", ".join(unknown))
    return sorted(name for name in names if name in table)


class ExamTargetsd(Transform):
    """Add the questions about an image and the truth about each, for :class:`ExamInferer`.

    * Grounding asks for every phrase of the item that has boxes; the truth is the union of the boxes.
    * Segmentation asks for every class that the image has a mask of, or else boxes; empty ones are not asked for.
    * Classification asks for all classes; a class without a label is unknown (-1).

    The image must have been loaded and fitted (:class:`~radbundles.transforms.LoadRadiographd`,
    :class:`~radbundles.transforms.FitRadiographd`): truth is compared in the square, as DCXFM does; boxes are filled
    after whole pixels (official: "integer truncation").

    Args:
        classes: names in labels, masks and boxes.
        phrase_groups: names of the groups that phrases are averaged in: the longest name that stands in a phrase; a
            phrase without any belongs to "other phrase".

    Added: ``phrases`` and ``phrase_groups`` (lists of str), ``phrase_masks`` bool [P, S, S], ``regions`` (list of str),
    ``region_masks`` bool [Q, S, S], ``labels`` int64 [K].
    """

    def __init__(self, *, classes: Sequence[str] = (), phrase_groups: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)
        self.groups = sorted(phrase_groups, key=len, reverse=True)
        self.load = LoadMaskd("masks", classes=self.classes, missing="zeros") if self.classes else None

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Add the questions and the truth."""
        sample = dict(data)
        frame = FittedFrame.of(data["image"])
        asked = [phrase for phrase in data.get("phrases") or () if phrase["boxes"]]
        sample["phrases"] = [phrase["text"] for phrase in asked]
        sample["phrase_groups"] = [self._group(text) for text in sample["phrases"]]
        sample["phrase_masks"] = _stack([_filled(phrase["boxes"], frame) for phrase in asked], frame.size)
        regions = self._regions(data, frame)
        sample["regions"] = list(regions)
        sample["region_masks"] = _stack(list(regions.values()), frame.size)
        known = data.get("labels") or {}
        sample["labels"] = torch.tensor([int(known.get(name, -1)) for name in self.classes])
        return sample

    def _group(self, text: str) -> str:
        return next((name for name in self.groups if name.lower() in text.lower()), OTHER_PHRASE)

    def _regions(self, data: Mapping[str, Any], frame: FittedFrame) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        paths, boxes = data.get("masks") or {}, data.get("boxes") or {}
        if self.load is not None and any(name in paths for name in self.classes):
            original = torch.zeros(1, 1, 1).expand(1, frame.height, frame.width)
            masks = self.load({"masks": paths, "image": original})["masks"]
            fitted = FitRadiograph(frame.size, mode="nearest")(masks.as_tensor())
            found = {name: mask != 0 for name, mask in zip(self.classes, fitted, strict=True) if name in paths}
        for name in self.classes:
            if name not in paths and boxes.get(name):
                found[name] = _filled(boxes[name], frame)
        return {name: found[name] for name in self.classes if name in found and bool(found[name].any())}


def collate_exam(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Batch samples: ``image`` [B, C, S, S] and ``labels`` [B, K] are stacked, the rest are lists by image."""
    batch: dict[str, Any] = {
        key: [sample[key] for sample in samples]
        for key in ("id", "phrases", "phrase_groups", "phrase_masks", "regions", "region_masks")
    }
    batch["image"] = torch.stack([torch.as_tensor(sample["image"]).as_subclass(torch.Tensor) for sample in samples])
    batch["labels"] = torch.stack([sample["labels"] for sample in samples])
    if any("patient" in sample for sample in samples):
        # a patient of an item that names none is the item itself
        batch["patient"] = [sample.get("patient") or f"image {sample['id']}" for sample in samples]
    return batch


def _filled(boxes: Sequence[Sequence[float]], frame: FittedFrame) -> torch.Tensor:
    """Union of boxes in original pixels as a mask bool [S, S]; a box keeps one pixel at least."""
    mask = torch.zeros(frame.size, frame.size, dtype=torch.bool)
    for x0, y0, x1, y1 in frame.boxes_to_fitted(torch.tensor(boxes, dtype=torch.float64)).long().tolist():
        mask[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
    return mask


def _stack(masks: list[torch.Tensor], size: int) -> torch.Tensor:
    return torch.stack(masks) if masks else torch.zeros(0, size, size, dtype=torch.bool)
