# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI handler: classification scores from an evaluator."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow
from monai.utils import CommonKeys as Keys
from monai.utils import convert_to_numpy

from radbundles.components.metrics.classification import classification_scores, multiclass_accuracy
from radbundles.components.metrics.gather import gather_rows
from radbundles.components.metrics.thresholds import choose_thresholds

__all__ = ["ScoreClassification"]


class ScoreClassification:
    """Score what an evaluator says of each class, and write ``classification.json`` and ``classification.csv``.

    The evaluator's output holds ``image["id"]`` (list of B), ``image["labels"]`` ([B, K]: 1 present, 0 absent, -1
    unknown) and ``pred["scores"]`` ([B, K]). ``image["patient"]`` is what is resampled, where the batch has it, and is
    never written. Means over the classes come into the engine's metrics as ``classification_<score>``.

    The JSON file also has the thresholds of the largest Matthews correlation on the data scored. Run it on the
    validation section first and give that file as ``thresholds`` for the test section: thresholds chosen on the data
    that they judge flatter the classifier, so MCC, F1 and accuracy are given with thresholds from elsewhere alone.

    Args:
        classes: names of the K classes.
        folder: where the two files are written.
        thresholds: ``classification.json`` of the validation section.
        exclusive: each sample has exactly one class (the 5 x 200 sets): give the accuracy over the classes too.
        resamples: number of resamples.
        level: confidence level.
        seed: of the draws.

    Raises:
        FileNotFoundError: there is no such file of thresholds.
        ValueError: it has no threshold for some of the classes.
    """

    def __init__(
        self,
        classes: Sequence[str],
        folder: str | Path,
        *,
        thresholds: str | Path | None = None,
        exclusive: bool = False,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.classes = tuple(classes)
        self.folder = Path(folder)
        self.thresholds = None if thresholds is None else _read_thresholds(Path(thresholds), self.classes)
        self.exclusive = exclusive
        self.bootstrap: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
        self._rows: dict[str, tuple[np.ndarray, np.ndarray, str]] = {}

    def attach(self, engine: Workflow) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _update(self, engine: Workflow) -> None:
        batch, pred = engine.state.output[Keys.IMAGE], engine.state.output[Keys.PRED]
        # bfloat16 has no NumPy type
        scores, labels = convert_to_numpy(pred["scores"].double()), convert_to_numpy(batch["labels"])
        if scores.shape[1:] != (len(self.classes),):
            raise ValueError(f"scores are {list(scores.shape)}, but there are {len(self.classes)} classes")
        patients = batch.get("patient") or [None] * len(scores)
        for id, score, label, patient in zip(batch["id"], scores, labels, patients, strict=True):
            self._rows[id] = (score, label, f"image {id}" if patient is None else f"patient {patient}")

    def _finish(self, engine: Workflow) -> None:
        self._rows = gather_rows(self._rows)
        if not self._rows:
            return
        scores, labels = (np.stack([row[column] for row in self._rows.values()]) for column in (0, 1))
        draws = {"clusters": [row[2] for row in self._rows.values()], **self.bootstrap}
        found = classification_scores(scores, labels, thresholds=self.thresholds, classes=self.classes, **draws)
        result = {"samples": len(scores)} | found.to_dict()
        means = {name: interval.estimate for name, interval in found.mean.items()}
        if self.exclusive:
            accuracy = multiclass_accuracy(scores, labels, **draws)
            result["accuracy_over_classes"] = list(accuracy)
            means["accuracy_over_classes"] = accuracy.estimate
        engine.state.metrics.update({f"classification_{name}": value for name, value in means.items()})
        if engine.state.rank == 0:
            chosen = choose_thresholds(scores, labels).tolist()
            result["best_thresholds"] = {
                name: None if math.isnan(cut) else cut for name, cut in zip(self.classes, chosen, strict=True)
            }
            self._write(result, scores, labels)
            if found.one_sided:
                logging.getLogger(__name__).warning(
                    "no score for classes of one outcome: %s", ", ".join(found.one_sided)
                )

    def _write(self, result: dict[str, Any], scores: np.ndarray, labels: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=2, allow_nan=False)
        (self.folder / "classification.json").write_text(text + "\n", encoding="utf-8")
        with open(self.folder / "classification.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", *(f"{kind} {name}" for kind in ("score", "label") for name in self.classes)])
            for id, score, label in zip(self._rows, scores, labels, strict=True):
                writer.writerow([id, *(f"{value:.6g}" for value in score), *(int(value) for value in label)])


def _read_thresholds(path: Path, classes: Sequence[str]) -> list[float]:
    chosen = json.loads(path.read_text(encoding="utf-8")).get("best_thresholds", {})
    missing = [name for name in classes if name not in chosen]
    if missing:
        raise ValueError(f"{path} has no thresholds for {', '.join(missing)}; run the validation section with them")
    return [math.nan if chosen[name] is None else float(chosen[name]) for name in classes]
