# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a segmentation network answers, as files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from scipy.special import expit

from radbundles.components.inference.answer_files import AnswerFiles
from radbundles.components.inference.class_rules import ClassRule, at_threshold, class_rules
from radbundles.components.inference.outline import Polygon, outline, polygon_entries
from radbundles.components.inference.output_files import write_picture
from radbundles.components.inference.panel_sheet import Panel, draw_panels
from radbundles.components.inference.sample_content import sample_content
from radbundles.components.inference.write_masks import write_masks
from radbundles.transforms import FittedFrame

SAMPLES = 128  # of a map in a picture, along each side


class WriteSegmentations:
    """Write masks, ``<image>.json``, ``<image>.png`` and ``areas.csv`` from the logits [B, K, S, S] of a network.

    Logits are brought back to the pixels of the image and compared with the threshold of the class there, as in
    :class:`~radbundles.components.evaluation.SegmentationEvaluator`. Masks are the files
    ``<image>.masks/<class>.png``, see :func:`write_masks`; classes may overlap. The JSON file has their outlines and
    areas, the picture both over the image. Columns of the table: ``image``, ``class``, ``pixels``, ``share`` of the
    image, and ``mm2``, empty where the file tells no spacing.

    Args:
        folder: where the files go; names are those of the images, made flat and safe.
        classes: names of the K classes.
        points: operating points of the training run; None or empty: none were chosen.
        model: ``name`` and ``version`` of what answered.
        nifti: write masks as NIfTI too.

    Raises:
        ValueError: if the points are of another task or other classes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        classes: Sequence[str],
        points: Mapping[str, Any] | None,
        model: Mapping[str, str],
        nifti: bool = False,
    ) -> None:
        self.rules = class_rules("segmentation", classes, points)
        self.nifti = nifti
        columns = ("class", "pixels", "share", "mm2")
        self.files = AnswerFiles(folder, model=model, table="areas.csv", columns=columns)

    def use_threshold(self, threshold: float) -> None:
        """Count a pixel from this probability on, in place of what was chosen for each class.

        Raises:
            ValueError: if it is not between 0 and 1.
        """
        self.rules = at_threshold(self.rules, threshold)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator whose loader is ``ImageBatches``.

        Its samples have a ``preview``, see :class:`PreviewRadiographd`, and may have ``warnings``.
        """
        engine.add_event_handler(Events.STARTED, lambda engine: self.files.start())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write what is answered about a batch."""
        batch, logits = engine.state.batch, engine.state.output["pred"].float()
        nothing: list[list[str]] = [[]] * len(logits)
        for name, meta, preview, warnings, one in zip(
            batch["id"], batch["meta"], batch["preview"], batch.get("warnings", nothing), logits, strict=True
        ):
            self.write(name, one, meta=meta, preview=preview, warnings=warnings)

    def write(
        self,
        image: str,
        logits: torch.Tensor,
        *,
        meta: Mapping[str, Any],
        preview: np.ndarray,
        warnings: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Write what is answered about one image.

        Args:
            image: its name.
            logits: [K, S, S].
            meta: what a fitted image knows of itself.
            preview: the image, uint8 [h, w] or [h, w, 3].
            warnings: what makes the answer doubtful.

        Returns:
            The content of the JSON file.

        Raises:
            ValueError: if a logit is not finite.
        """
        if not bool(logits.isfinite().all()):
            raise ValueError(f"{image}: the network's answer holds a value that is no finite number")
        frame, stem, rules = FittedFrame.of(meta), self.files.stem(image), self.rules
        found: list[dict[str, Any]] = []
        outlines = [outline(cells, frame, rule.level) for cells, rule in zip(logits, rules, strict=True)]

        def masks() -> Iterator[np.ndarray]:  # one at a time: in the pixels of a film each has tens of megabytes
            for cells, rule in zip(logits, rules, strict=True):
                values = frame.to_original(cells)
                mask = (values >= rule.level).cpu().numpy().view(np.uint8)
                found.append(_measured(rule, float(values.max()), mask, meta.get("spacing")))
                yield mask

        names = [rule.name for rule in rules]
        paths = write_masks(stem.with_name(f"{stem.name}.masks"), names, masks(), meta=meta, nifti=self.nifti)
        panels = [_panel(*one, frame) for one in zip(rules, logits, found, outlines, strict=True)]
        write_picture(stem.with_name(f"{stem.name}.png"), draw_panels(preview, (frame.width, frame.height), panels))
        classes = [
            {**one, **files, "polygons": polygon_entries(polygons)}
            for one, files, polygons in zip(found, paths, outlines, strict=True)
        ]
        return self.files.write(
            image,
            {"task": "segmentation", "classes": classes},
            [(one["name"], one["area"], f"{one['share']:.6f}", one.get("area_mm2", "")) for one in found],
            size=(frame.width, frame.height),
            warnings=warnings,
            calibrated=all(rule.temperature is not None for rule in rules),
        )


def _measured(rule: ClassRule, highest: float, mask: np.ndarray, spacing: Sequence[float] | None) -> dict[str, Any]:
    area = int(np.count_nonzero(mask))
    peak = float(expit(highest / (rule.temperature or 1.0)))
    entry = {**rule.to_dict(), "peak": round(peak, 6), "area": area, "share": round(area / mask.size, 6)}
    if spacing is not None:
        entry["area_mm2"] = round(area * float(spacing[0]) * float(spacing[1]), 3)
    return entry


def _panel(
    rule: ClassRule, cells: torch.Tensor, found: Mapping[str, Any], polygons: Sequence[Polygon], frame: FittedFrame
) -> Panel:
    heat = (sample_content(cells[None], frame, SAMPLES)[0] / (rule.temperature or 1.0)).sigmoid().cpu().numpy()
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.holes)]
    return Panel(rule.name, f"{found['share']:.1%}", heat, 1.0, rings=rings)
