# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of ``radbundles.components.benchmarks.downstream``, from the rows that its runs left.

    python -m radbundles.components.benchmarks.downstream_table docs/results/downstream

A figure is the mean over the seeds; its 95 % interval is that of this mean when the patients of the test section are
drawn anew, the same draws for all runs of a study, so that the difference between pre-trained and from scratch is
paired. It tells how much hangs on the patients that were tested; beside it stands the lowest and the highest seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radbundles.components.evaluation import DetectionTable, PredictionTable, SegmentationTable, bootstrapped
from radbundles.components.evaluation.detection_result import match_table
from radbundles.components.metrics.detection_scores import class_mean, coco_scores
from radbundles.components.metrics.weighted import weighted_auroc
from radbundles.components.metrics.weighted_classification import (
    weighted_average_precision,
    weighted_confusion,
    weighted_multiclass_scores,
)

Floats = NDArray[np.float64]
Scores = Callable[[Floats], Mapping[str, Floats]]
INITS = {"pretrained": True, "scratch": False}


@dataclass(frozen=True)
class Rows:
    """The test rows of one run.

    Attributes:
        key: what has to be the same in all runs of a study: ids and truth.
        clusters: patient of each row.
        scores: weights [R, N] -> named scores [R].
    """

    key: tuple[Any, ...]
    clusters: NDArray[Any]
    scores: Scores


def read_multilabel(path: Path) -> Rows:
    """Mean AUROC and average precision over the classes."""
    table = PredictionTable.read(path, "multilabel")

    def scores(weights: Floats) -> dict[str, Floats]:
        found: dict[str, list[Floats]] = {"AUROC": [], "average precision": []}
        for logits, labels in zip(table.logits.T, table.labels.T, strict=True):
            known = np.flatnonzero(labels >= 0)
            one = logits[known], labels[known] == 1, weights[:, known]
            found["AUROC"].append(weighted_auroc(*one))
            found["average precision"].append(weighted_average_precision(*one))
        return {name: class_mean(np.stack(values, 1)) for name, values in found.items()}

    return _rows(table, scores)


def read_grades(path: Path) -> Rows:
    """Quadratic weighted kappa of ordered classes, and AUROC of each against the others, averaged."""
    table = PredictionTable.read(path, "multiclass")
    known = np.flatnonzero((table.labels == 1).any(1))
    logits, truth = table.logits[known], table.labels[known].argmax(1)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    K = logits.shape[1]

    def scores(weights: Floats) -> dict[str, Floats]:
        weights = weights[:, known]
        confusion = weighted_confusion(logits.argmax(1), truth, K, weights)
        areas = np.stack([weighted_auroc(chances[:, k], truth == k, weights) for k in range(K)], 1)
        kappa = weighted_multiclass_scores(confusion, ordinal=True)["kappa_quadratic"]
        return {"quadratic kappa": kappa, "AUROC": class_mean(areas)}

    return _rows(table, scores)


def read_masks(path: Path) -> Rows:
    """Mean Dice over the masks that are there, at the threshold of the validation section."""
    table = SegmentationTable.read(path)
    table = table.take(np.flatnonzero(table.present))
    dice = table.scores["dice"]

    def scores(weights: Floats) -> dict[str, Floats]:
        return {"Dice": weights @ dice / weights.sum(1)}

    return Rows((table.ids, table.places.tolist()), table.clusters, scores)


def read_boxes(path: Path) -> Rows:
    """COCO's AP over overlaps of .5 to .95, and at .5, averaged over the classes."""
    table = DetectionTable.read(path)
    matches = match_table(table)

    def scores(weights: Floats) -> dict[str, Floats]:
        found = coco_scores(matches, weights)
        return {"AP .5:.95": class_mean(found["ap"]), "AP .5": class_mean(found["ap50"])}

    return Rows((table.ids,), np.asarray(table.clusters), scores)


def _rows(table: PredictionTable, scores: Scores) -> Rows:
    return Rows((table.ids, table.labels.tolist()), table.clusters, scores)


NAMES: dict[str, tuple[str, Callable[[Path], Rows]]] = {
    "tuberculosis": ("tuberculosis, other patients of both sites", read_multilabel),
    "tuberculosis-to-montgomery": ("tuberculosis, Shenzhen to Montgomery", read_multilabel),
    "tuberculosis-to-shenzhen": ("tuberculosis, Montgomery to Shenzhen", read_multilabel),
    "retinopathy": ("grade of retinopathy (IDRiD)", read_grades),
    "lungs": ("lungs, Montgomery and Shenzhen", read_masks),
    "disc": ("optic disc (IDRiD)", read_masks),
    "lung-boxes": ("boxes of the lungs, Montgomery and Shenzhen", read_boxes),
}
"""Title of each study, and how its rows become scores."""


def run_name(*, pretrained: bool, fraction: float, seed: int) -> str:
    """Name of a run's file, without its ending."""
    return f"{'pretrained' if pretrained else 'scratch'}-{fraction:g}-{seed}"


def summarize(folder: Path) -> dict[str, dict[str, Any]]:
    """Figures of every study in a folder of results.

    Returns:
        study -> fraction -> ``seeds``, ``images``, ``patients``, and for each score ``pretrained``, ``scratch`` and
        ``difference``: [estimate, low, high], with the lowest and highest seed of the first two.

    Raises:
        ValueError: runs of a study that were not tested on the same images.
    """
    result: dict[str, dict[str, Any]] = {}
    for study in NAMES:
        runs = {path.stem: path for path in sorted((folder / study).glob("*")) if path.suffix in (".csv", ".jsonl")}
        for fraction in sorted({name.split("-")[1] for name in runs}, key=float):
            read = NAMES[study][1]
            parts = {
                init: [read(path) for name, path in runs.items() if name.startswith(f"{init}-{fraction}-")]
                for init in INITS
            }
            result.setdefault(study, {})[fraction] = _compare(parts, f"{study}, {fraction}")
    return result


def _compare(parts: Mapping[str, Sequence[Rows]], name: str) -> dict[str, Any]:
    every = [rows for runs in parts.values() for rows in runs]
    if any(rows.key != every[0].key for rows in every):
        raise ValueError(f"{name}: the runs were not tested on the same images")

    def scores(weights: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for init, runs in parts.items():
            for seed, rows in enumerate(runs):
                found |= {f"{score}/{init}/{seed}": values for score, values in rows.scores(weights).items()}
        titles = dict.fromkeys(key.split("/")[0] for key in found)
        for title in titles:
            for init, runs in parts.items():
                if runs:
                    found[f"{title}/{init}"] = np.mean([found[f"{title}/{init}/{s}"] for s in range(len(runs))], axis=0)
            if all(parts.values()):
                found[f"{title}/difference"] = found[f"{title}/pretrained"] - found[f"{title}/scratch"]
        return found

    intervals = bootstrapped(scores, every[0].clusters)
    figures: dict[str, Any] = {
        "seeds": {init: len(runs) for init, runs in parts.items()},
        "images": len(set(every[0].key[0])),
        "patients": len(set(every[0].clusters.tolist())),
    }
    for key, interval in intervals.items():
        title, part, *seed = key.split("/")
        entry = figures.setdefault(title, {})
        if seed:
            entry.setdefault(f"{part} seeds", []).append(round(float(interval.estimate), 4))
        else:
            entry[part] = [round(float(bound), 4) for bound in interval]
    return figures


def markdown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [
        "| Study (images tested) | Labels used | Score | Pre-trained | From scratch | Difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for study, fractions in figures.items():
        for fraction, entry in fractions.items():
            for score, values in entry.items():
                if not isinstance(values, dict) or "difference" not in values:
                    continue
                cells = [f"{NAMES[study][0]} ({entry['images']})", f"{float(fraction):.0%}", score]
                for init in INITS:
                    cells.append(_cell(values[init], values[f"{init} seeds"]))
                cells.append(_cell(values["difference"], signed=True))
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(bounds: Sequence[float], seeds: Sequence[float] = (), *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    estimate, low, high = bounds
    text = f"{estimate:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
    return text if len(seeds) < 2 else f"{text}; seeds {min(seeds):.3f} to {max(seeds):.3f}"


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="The table of the downstream benchmark, from the rows of its runs.")
    parser.add_argument("results", type=Path, help="folder results of a benchmark's output")
    parser.add_argument("--json", action="store_true", help="all figures, those of every seed too")
    arguments = parser.parse_args()
    figures = summarize(arguments.results)
    print(json.dumps(figures, indent=4) if arguments.json else markdown(figures))


if __name__ == "__main__":
    main()
