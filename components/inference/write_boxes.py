# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a detector answers, as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from scipy.special import expit

from radbundles.components.inference.answer_files import AnswerFiles
from radbundles.components.inference.class_rules import at_threshold, class_rules
from radbundles.components.inference.output_files import write_picture
from radbundles.components.inference.panel_sheet import BOX, Color, LabeledBox, Panel, draw_panels
from radbundles.transforms import FittedFrame

# Of the classes in turn: bright on a radiograph, and apart for the color-blind as far as five can be.
COLORS: tuple[Color, ...] = (BOX, (255, 176, 0), (254, 97, 180), (140, 255, 120), (178, 156, 255))


class Detector(Protocol):
    """A network that finds boxes in what its forward gives."""

    def detect(
        self, pred: torch.Tensor, *, score_threshold: float, nms_iou: float, max_detections: int
    ) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor], Sequence[torch.Tensor]]:
        """Boxes [n, 4] in pixels of the square, scores [n] in 0..1 and classes [n] of each image."""


class WriteBoxes:
    """Write ``boxes.csv``, ``<image>.json`` and ``<image>.png`` from what an evaluator's detector gives.

    Boxes of the detector are suppressed as in the evaluation of the training run, brought back to the pixels of the
    image, and kept where their calibrated score reaches the threshold of their class. Columns of the table:
    ``image``, ``class``, ``x0``, ``y0``, ``x1``, ``y1`` (ends exclusive) and ``probability``.

    Args:
        folder: where the files go; names are those of the images, made flat and safe.
        classes: names of the K classes.
        points: operating points of the training run; None or empty: none were chosen.
        model: ``name`` and ``version`` of what answered.
        network: the evaluator's network.
        score_threshold: boxes must score higher than this before any calibration.
        nms_iou: boxes that overlap a better one of their class by more are dropped.
        max_detections: boxes of an image.

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
        network: Detector,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        self.rules = class_rules("detection", classes, points)
        self.network = network
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections
        columns = ("class", "x0", "y0", "x1", "y1", "probability")
        self.files = AnswerFiles(folder, model=model, table="boxes.csv", columns=columns)

    def use_threshold(self, threshold: float) -> None:
        """Keep boxes from this probability on, in place of what was chosen for each class.

        Raises:
            ValueError: if it is not between 0 and 1.
        """
        self.rules = at_threshold(self.rules, threshold)
        # It may lie below what the detector was judged with.
        lowest = min(_probability(rule.level, 1.0) for rule in self.rules)
        self.score_threshold = min(self.score_threshold, float(np.nextafter(lowest, 0)))

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator whose loader is ``ImageBatches``.

        Its samples have a ``preview``, see :class:`PreviewRadiographd`, and may have ``warnings``.
        """
        engine.add_event_handler(Events.STARTED, lambda engine: self.files.start())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write what is answered about a batch."""
        batch, pred = engine.state.batch, engine.state.output["pred"].float()
        for name, usable in zip(batch["id"], pred.isfinite().all(dim=2).any(dim=1).tolist(), strict=True):
            if not usable:  # the detector passes over such boxes, and would find nothing
                raise ValueError(f"{name}: not one box of the network's answer has finite numbers")
        found = self.network.detect(
            pred,
            score_threshold=self.score_threshold,
            nms_iou=self.nms_iou,
            max_detections=self.max_detections,
        )
        nothing: list[list[str]] = [[]] * len(pred)
        for name, meta, preview, warnings, boxes, scores, places in zip(
            batch["id"], batch["meta"], batch["preview"], batch.get("warnings", nothing), *found, strict=True
        ):
            self.write(name, boxes, scores, places, meta=meta, preview=preview, warnings=warnings)

    def write(
        self,
        image: str,
        boxes: torch.Tensor,
        scores: torch.Tensor,
        places: torch.Tensor,
        *,
        meta: Mapping[str, Any],
        preview: np.ndarray,
        warnings: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Write what is answered about one image.

        Args:
            image: its name.
            boxes: [n, 4] in pixels of the square.
            scores: [n] in 0..1.
            places: [n] numbers of the classes.
            meta: what a fitted image knows of itself.
            preview: the image, uint8 [h, w] or [h, w, 3].
            warnings: what makes the answer doubtful.

        Returns:
            The content of the JSON file.
        """
        frame = FittedFrame.of(meta)
        original = frame.boxes_to_original(boxes.detach().float().cpu()).numpy()
        inside = (original[:, 2:] > original[:, :2]).all(axis=1)  # what lies in the padding alone has no area
        logits = torch.logit(scores.detach().double().cpu()).numpy()
        classes, labeled = [], []
        rows: list[tuple[Any, ...]] = []
        for place, rule in enumerate(self.rules):
            of_class = inside & (places.cpu().numpy() == place) & (logits >= rule.level)
            entries = []
            for box, logit in zip(original[of_class], logits[of_class], strict=True):
                corners = [round(float(edge), 1) for edge in box]
                probability = round(_probability(logit, rule.temperature or 1.0), 6)
                entries.append({"box": corners, "probability": probability})
                rows.append((rule.name, *corners, f"{probability:.6f}"))
                labeled.append(LabeledBox(box, f"{rule.name} {probability:.2f}", COLORS[place % len(COLORS)]))
            classes.append({**rule.to_dict(), "boxes": entries})
        stem, size = self.files.stem(image), (frame.width, frame.height)
        title = f"{len(labeled) or 'no'} box{'' if len(labeled) == 1 else 'es'}"
        write_picture(stem.with_name(f"{stem.name}.png"), draw_panels(preview, size, [Panel(title, boxes=labeled)]))
        return self.files.write(
            image,
            {"task": "detection", "classes": classes},
            rows,
            size=size,
            warnings=warnings,
            calibrated=all(rule.temperature is not None for rule in self.rules),
        )


def _probability(logit: float, temperature: float) -> float:
    return float(expit(logit / temperature))
