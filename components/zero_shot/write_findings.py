# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What was found in each image, as a JSON file and a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.inference.outline import polygon_entries
from radbundles.components.inference.output_files import file_name, write_picture, write_record
from radbundles.components.inference.write_masks import write_masks
from radbundles.components.zero_shot.inferer import ZeroShotInferer
from radbundles.components.zero_shot.overlay import draw_overlay
from radbundles.components.zero_shot.results import Grounding, Segmentation
from radbundles.transforms import FittedFrame

NOTES = {
    "cosine": "Research software. A similarity is no probability and no diagnosis: compare it with that of other "
    "images or phrases. This is not a medical device.",
    "score": "Research software. A score is no probability and no diagnosis: nobody has calibrated it. "
    "This is not a medical device.",
}


@cache
def findings_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one findings file."""
    text = resources.files(__package__).joinpath("findings.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


class WriteFindings:
    """Write ``<image>.json``, as ``findings.schema.json`` says, and ``<image>.png`` for each image of an evaluator.

    With ``masks`` there is a folder ``<image>.masks`` too, see :func:`write_masks`, and outlines of the masks stand in
    the JSON file. Coordinates are pixels of the original image. The JSON file comes last and each file appears whole
    or not at all, so that where it is, the others are too. No patient's name or id is written.

    Args:
        folder: where the files go; names are those of the images, made flat and safe.
        inferer: the evaluator's inferer, which knows what was asked.
        model: ``name`` and ``version`` of what answered.
        pictures: write pictures too; their batch needs a ``preview``, see :class:`PreviewRadiographd`.
        masks: write masks and their outlines.
        nifti: write masks as NIfTI too.
        on_image: called with what is written for each image.

    Raises:
        ValueError: if model lacks its name or version, or NIfTI is asked for without masks.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        inferer: ZeroShotInferer,
        *,
        model: Mapping[str, str],
        pictures: bool = True,
        masks: bool = False,
        nifti: bool = False,
        on_image: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        if nifti and not masks:
            raise ValueError("nifti is a form of masks: give masks=True as well")
        if set(model) != {"name", "version"}:
            raise ValueError(f"model must have a name and a version, got {sorted(model)}")
        self.folder = Path(folder)
        self.inferer = inferer
        self.model = {key: str(model[key]) for key in ("name", "version")}
        self.pictures = pictures
        self.masks = masks
        self.nifti = nifti
        self.on_image = on_image

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator whose inferer is the one given, and whose loader is ``ImageBatches``.

        Its samples have ``warnings``, see :class:`~radbundles.components.inference.RequireRadiographd`.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the files of a batch."""
        batch, pred = engine.state.batch, engine.state.output["pred"]
        maps, similarity = pred["maps"].cpu(), pred["similarity"].cpu()
        for place, name in enumerate(batch["id"]):
            meta = batch["meta"][place]
            preview = batch["preview"][place] if self.pictures else None
            warnings = batch["warnings"][place]
            self.write(name, maps[place], similarity[place], meta=meta, warnings=warnings, preview=preview)

    def write(
        self,
        name: str,
        maps: torch.Tensor,
        similarity: torch.Tensor,
        *,
        meta: Mapping[str, Any],
        warnings: Sequence[str] = (),
        preview: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Write the files of one image.

        Args:
            name: of the image.
            maps: [N, h, w] of the inferer, those of the phrases first.
            similarity: [N].
            meta: what a fitted image knows of itself.
            warnings: what makes the answer doubtful.
            preview: the image, uint8 [h, w]; None writes no picture.

        Returns:
            The content of the JSON file.
        """
        asked = self.inferer
        tool, count = asked.zero_shot, len(asked.phrases)
        frame = FittedFrame.of(meta)
        phrases = tool.groundings(maps[:count], similarity[:count], frame, asked.phrases)
        classes = tool.segmentations(maps[count:], similarity[count:], frame, asked.classes, negatives=asked.negatives)
        found: list[Grounding | Segmentation] = [*phrases, *classes.values()]
        stem = file_name(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        if preview is not None:
            write_picture(self.folder / f"{stem}.png", draw_overlay(preview, found))
        located = [_located(one) for one in found]
        if self.masks:
            names, masks = [*asked.phrases, *asked.classes], (one.mask for one in found)
            files = write_masks(self.folder / f"{stem}.masks", names, masks, meta=meta, nifti=self.nifti)
            located = [
                {**entry, **paths, "polygons": polygon_entries(one.polygons)}
                for entry, paths, one in zip(located, files, found, strict=True)
            ]
        measures = tool.measure, "against denial" if asked.negatives else tool.measure
        record = {
            "image": name,
            "size": [frame.width, frame.height],
            "phrases": [
                {"text": text, "measure": measures[0], **entry}
                for text, entry in zip(asked.phrases, located[:count], strict=True)
            ],
            "classes": [
                {"name": text, "measure": measures[1], **entry}
                for text, entry in zip(asked.classes, located[count:], strict=True)
            ],
            "warnings": list(warnings),
            "model": self.model,
            "note": NOTES[tool.measure],
        }
        write_record(self.folder / f"{stem}.json", record)
        if self.on_image is not None:
            self.on_image(record)
        return record


def _located(found: Grounding | Segmentation) -> dict[str, Any]:
    return {
        "similarity": _value(found.similarity),
        "peak": _value(found.peak),
        "point": [round(position, 1) for position in found.point],
        "boxes": [
            {"box": [round(float(edge), 1) for edge in box], "peak": _value(float(score))}
            for box, score in zip(found.boxes, found.scores, strict=True)
        ],
    }


def _value(similarity: float) -> float:
    return round(min(1.0, max(-1.0, similarity)), 4)  # a cosine of 1 may come out a rounding error above
