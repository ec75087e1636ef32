# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judge masks in the pixels of the stored images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.utils import CommonKeys as Keys

from radbundles.components.evaluation.operating import read_points
from radbundles.components.evaluation.protocol import Evaluation, Facts
from radbundles.components.evaluation.segmentation_pictures import mask_pictures
from radbundles.components.evaluation.segmentation_points import RULES, mask_levels, mask_points
from radbundles.components.evaluation.segmentation_result import evaluate_segmentation
from radbundles.components.evaluation.segmentation_rows import MaskRow, judge_mask
from radbundles.components.evaluation.segmentation_table import SegmentationTable
from radbundles.transforms import FittedFrame, LoadTargetsd

__all__ = ["SegmentationEvaluator"]

Rows = Mapping[str, Sequence[MaskRow]]


class SegmentationEvaluator:
    """Evaluator of segmentation for :class:`~radbundles.components.evaluation.WriteEvaluation`.

    Logits [B, K, S, S] are brought back to the pixels of the stored image and cut at the threshold of the class; true
    masks are read again from the files of the item, in full size. One image and one class at a time is in memory in
    that size. A class that is unknown in an image (label -1) has no row.

    Deviations from ECAMP's official code, which judges in the square of 224 pixels, at 0.5, and over empty images too:
    the official Dice stands beside the others as ``official_dice``.

    The batch, made by :func:`~radbundles.components.data.collate_frames`, holds ``id``, ``size`` [B, 2] and, for
    distances in millimeters, ``spacing`` [B, 2]. In a config, with the points that ``WriteEvaluation`` has too::

        {"_target_": "radbundles.components.evaluation.SegmentationEvaluator",
         "classes": "@classes", "items": "@test#items",
         "points": "$os.path.join(@output_dir, 'operating_points.json')"}

    Args:
        classes: names of the K classes, in the order of the channels.
        items: of :func:`~radbundles.components.data.load_segmentation_items`, the section that is judged.
        points: operating points chosen on the validation section, or their file: what a pixel's score is compared
            with. None compares with 0.5, as where they are chosen.
        rule: how :meth:`fit_points` chooses thresholds, see
            :func:`~radbundles.components.evaluation.segmentation_points.mask_points`.
        distances: measure Hausdorff distances. They are not needed to choose operating points.
        resamples: number of resamples of the patients.
        level: confidence level.
        seed: of the draws.

    Raises:
        FileNotFoundError: the file of operating points is missing.
        ValueError: an unknown rule, classes that are not those of the items, or operating points of other classes.
    """

    task = "segmentation"

    def __init__(
        self,
        classes: Sequence[str],
        items: Sequence[Mapping[str, Any]],
        *,
        points: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        rule: str = "dice",
        distances: bool = True,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
        own = getattr(items, "classes", tuple(classes))
        if tuple(own) != tuple(classes):
            raise ValueError(f"the classes are {list(classes)}, but the labels of the items are of {list(own)}")
        if points is not None:
            points = read_points(points, task=self.task, classes=classes)
        self.classes = tuple(classes)
        self.items = items
        self.rule = rule
        self.distances = distances
        self.draws: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
        self.levels = mask_levels(points, self.classes)
        self._load = [LoadTargetsd([name]) for name in self.classes]
        self._places: dict[str, int] | None = None

    def collect(self, output: Mapping[str, Any]) -> dict[str, list[MaskRow]]:
        """Judge the images of a batch.

        Raises:
            ValueError: a logit is not a number, an image that is none of the items, or a batch without ``size``.
            RadiographReadError: a mask cannot be read.
        """
        batch, logits = output[Keys.IMAGE], output[Keys.PRED]["logits"]
        if "size" not in batch:
            raise ValueError("the batch has no 'size' to bring masks back to: collate it by collate_frames")
        sizes = batch["size"].tolist()
        spacings = batch["spacing"].tolist() if "spacing" in batch else [None] * len(sizes)
        rows = {}
        for id, maps, size, spacing in zip(batch["id"], logits.detach(), sizes, spacings, strict=True):
            known = spacing if spacing is not None and min(spacing) > 0 else None  # false for nan
            try:
                rows[id] = self._judge(
                    self._item(id), maps, FittedFrame(int(size[0]), int(size[1]), maps.shape[-1]), known
                )
            except ValueError as error:
                raise ValueError(f"id {id!r}: {error}") from error
        return rows

    def _judge(
        self, item: Mapping[str, Any], maps: torch.Tensor, frame: FittedFrame, spacing: Sequence[float] | None
    ) -> list[MaskRow]:
        rows = []
        stored = torch.zeros(1, 1, 1).expand(1, frame.height, frame.width)  # as large as the image, and without memory
        for place, label in enumerate(item["labels"]):
            if label < 0:
                continue
            sample = {"id": item["id"], "image": stored, "targets": item["targets"], "labels": [label]}
            inside = self._load[place](sample)["masks"].as_tensor()[0].to(maps.device) != 0
            rows.append(
                judge_mask(
                    place,
                    frame.to_original(maps[place].float()),
                    inside,
                    level=self.levels[place],
                    spacing=spacing,
                    distances=self.distances,
                )
            )
        return rows

    def fit_points(self, rows: Rows) -> dict[str, Any]:
        """Temperature and threshold of each class, from rows of the validation section."""
        facts = {id: Facts(number) for number, id in enumerate(rows)}  # whom an image belongs to plays no part
        return mask_points(SegmentationTable.of(rows, facts, self.classes), self.rule)

    def finish(self, rows: Rows, points: Mapping[str, Any] | None, facts: Mapping[str, Facts]) -> Evaluation:
        """Judge all rows.

        Raises:
            ValueError: the rows were collected with other operating points, or an image has no facts.
        """
        for place, (name, level) in enumerate(zip(self.classes, mask_levels(points, self.classes), strict=True)):
            used = {row.level for image in rows.values() for row in image if row.place == place}
            if any(abs(other - level) > 1e-6 * max(1.0, abs(level)) for other in used):
                raise ValueError(
                    f"the masks of {name!r} were cut at other operating points than they are to be judged by. Give the "
                    "same points to SegmentationEvaluator"
                )
        table = SegmentationTable.of(rows, facts, self.classes)
        result = evaluate_segmentation(table, points, **self.draws)
        items = {id: self._item(id) for id in rows}
        return Evaluation(result, mask_pictures(table, rows, items), table)

    def _item(self, id: str) -> Mapping[str, Any]:
        if self._places is None:
            self._places = {item["id"]: place for place, item in enumerate(self.items)}
        if id not in self._places:
            raise ValueError("it is none of the items. Give the evaluator those of the section that is judged")
        return self.items[self._places[id]]
