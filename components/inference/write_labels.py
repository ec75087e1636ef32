# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a classifier answers, as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow

from radbundles.components.evaluation.calibration import Task, calibrated_probabilities
from radbundles.components.inference.answer_files import AnswerFiles
from radbundles.components.inference.class_rules import at_threshold, class_rules
from radbundles.transforms import FittedFrame


class WriteLabels:
    """Write ``predictions.csv`` and ``<image>.json`` from the logits [B, K] of an evaluator's network.

    Probabilities are those at the temperature of the operating points. ``multilabel`` answers yes or no for each
    class, yes at the threshold or above; ``multiclass`` names the class of the highest probability. Columns of the
    table: ``image``, ``answer`` for ``multiclass``, and for each class ``probability <class>`` and, for ``multilabel``,
    ``present <class>``, 1 or 0.

    Args:
        folder: where the files go; names are those of the images, made flat and safe.
        classes: names of the K classes.
        task: ``multilabel`` or ``multiclass``.
        points: operating points of the training run, see
            :class:`~radbundles.components.evaluation.FitOperatingPoints`; None or empty: none were chosen.
        model: ``name`` and ``version`` of what answered.

    Raises:
        ValueError: if the task is neither, or the points are of another task or other classes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        classes: Sequence[str],
        task: Task,
        points: Mapping[str, Any] | None,
        model: Mapping[str, str],
    ) -> None:
        if task not in ("multilabel", "multiclass"):
            raise ValueError(f"task must be 'multilabel' or 'multiclass', got {task!r}")
        self.task = task
        self.rules = class_rules(task, classes, points)
        columns = [f"{kind} {name}" for name in classes for kind in ("probability", "present")]
        if task == "multiclass":
            columns = ["answer", *(f"probability {name}" for name in classes)]
        self.files = AnswerFiles(folder, model=model, table="predictions.csv", columns=columns)

    def use_threshold(self, threshold: float) -> None:
        """Answer yes from this probability on, in place of what was chosen for each class.

        Raises:
            ValueError: if it is not between 0 and 1, or the task knows no threshold.
        """
        if self.task == "multiclass":
            raise ValueError("a threshold is of yes or no, but this bundle names the class of the highest probability")
        self.rules = at_threshold(self.rules, threshold)

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator whose loader is ``ImageBatches``; its samples may have ``warnings``."""
        engine.add_event_handler(Events.STARTED, lambda engine: self.files.start())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write what is answered about a batch."""
        batch, logits = engine.state.batch, engine.state.output["pred"].float().cpu().numpy()
        nothing: list[list[str]] = [[]] * len(logits)
        for name, meta, warnings, row in zip(
            batch["id"], batch["meta"], batch.get("warnings", nothing), logits, strict=True
        ):
            frame = FittedFrame.of(meta)
            self.write(name, row, size=(frame.width, frame.height), warnings=warnings)

    def write(
        self, image: str, logits: np.ndarray, *, size: tuple[int, int], warnings: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Write what is answered about one image.

        Args:
            image: its name.
            logits: [K].
            size: width and height of the image.
            warnings: what makes the answer doubtful.

        Returns:
            The content of the JSON file.

        Raises:
            ValueError: if a logit is not finite.
        """
        if not np.isfinite(logits).all():
            raise ValueError(f"{image}: the network's answer holds a value that is no finite number")
        rules = self.rules
        key = "all" if self.task == "multiclass" else None
        temperature = {key or rule.name: rule.temperature for rule in rules}
        names = [rule.name for rule in rules]
        values = calibrated_probabilities(logits[None], self.task, names, temperature)[0].tolist()
        content: dict[str, Any] = {"task": self.task}
        row: list[str | int]
        if self.task == "multiclass":
            answer = names[int(np.argmax(values))]
            content |= {"answer": answer, "classes": []}
            for rule, value in zip(rules, values, strict=True):
                entry = {"name": rule.name, "probability": round(value, 6), "calibrated": rule.temperature is not None}
                content["classes"].append(entry)
            row = [answer, *(f"{value:.6f}" for value in values)]
        else:
            present = [value >= rule.threshold for rule, value in zip(rules, values, strict=True)]
            content["classes"] = [
                {**rule.to_dict(), "probability": round(value, 6), "present": yes}
                for rule, value, yes in zip(rules, values, present, strict=True)
            ]
            row = [cell for value, yes in zip(values, present, strict=True) for cell in (f"{value:.6f}", int(yes))]
        calibrated = all(rule.temperature is not None for rule in rules)
        return self.files.write(image, content, [row], size=size, warnings=warnings, calibrated=calibrated)
