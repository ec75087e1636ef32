# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Grounding scores of every sample, under every protocol, beside a baseline."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from radbundles.components.metrics.bootstrap import Interval, bootstrap_interval
from radbundles.components.metrics.centered_box import centered_box_map
from radbundles.components.metrics.gather import gather_rows
from radbundles.components.metrics.grounding import GROUNDING_SCORES, grounding_scores
from radbundles.components.metrics.protocols import GroundingProtocol, grounding_protocol

__all__ = ["GroundingTable"]

METHODS = ("model", "centered box")
# Class of what is not the name of a class.
PHRASES = "phrases"


class _Row(NamedTuple):
    phrase: str
    group: str
    patient: str
    scores: NDArray[np.float64]  # [methods, protocols, scores]


class GroundingTable:
    """Collect maps and masks image by image, and sum them up with confidence intervals.

    Each image may have a size of its own. The same masks are scored for a centered box
    (:func:`~radbundles.components.metrics.centered_box_map`), and the margin over it gets an interval too: a model has
    grounded something where that interval lies above 0. Patients are resampled, not samples.

    A phrase may be report text, so it is written as the first 12 digits of its SHA-256, and in clear only where it is
    one of ``classes``. Phrases that are no class count as one class together.

    Args:
        protocols: names in :data:`~radbundles.components.metrics.PROTOCOLS`, or protocols.
        classes: names that may be written, for example those of the prompt table or the lung zones.
        box_share: part of the picture that the centered box covers.
        resamples: number of resamples.
        level: confidence level.
        seed: of the draws.

    Raises:
        ValueError: no protocol, two of one name, or an unknown one.
    """

    def __init__(
        self,
        protocols: Sequence[str | GroundingProtocol] = ("dcxfm",),
        *,
        classes: Collection[str] = (),
        box_share: float = 0.25,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.protocols = tuple(map(grounding_protocol, [protocols] if isinstance(protocols, str) else protocols))
        names = [protocol.name for protocol in self.protocols]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"protocols must be one or more of different names, got {names}")
        self.classes = frozenset(classes)
        self.box_share = box_share
        self.bootstrap = {"resamples": resamples, "level": level, "seed": seed}
        self._images: dict[str, list[_Row]] = {}

    def reset(self) -> None:
        """Forget all samples."""
        self._images = {}

    def update(
        self,
        id: str,
        groups: Sequence[str],
        maps: NdarrayOrTensor,
        masks: NdarrayOrTensor,
        *,
        patient: str | None = None,
    ) -> None:
        """Add one image; a second time it takes the place of the first.

        Args:
            id: of the image.
            groups: P phrases or names of classes.
            maps: [P, H, W], tensor or array.
            masks: [P, H, W] bool.
            patient: what is resampled; by default each image by itself. It is never written.

        Raises:
            TypeError: maps or masks of a wrong type.
            ValueError: lengths that differ, or maps that cannot be scored; names the image.
        """
        images, inside = (convert_to_tensor(part, track_meta=False) for part in (maps, masks))
        if images.ndim != 3 or len(groups) != len(images):
            raise ValueError(
                f"id {id!r}: {len(groups)} groups need maps [{len(groups)}, H, W], got {list(images.shape)}"
            )
        if not len(groups):
            self._images[id] = []
            return
        _, H, W = images.shape
        box = centered_box_map(H, W, self.box_share).to(images.device).expand(images.shape)
        scores = np.empty((len(METHODS), len(self.protocols), len(GROUNDING_SCORES), len(groups)))
        for p, protocol in enumerate(self.protocols):
            for m, shown in enumerate((images, box)):
                try:
                    found = grounding_scores(shown, inside, protocol)
                except ValueError as error:
                    raise ValueError(f"id {id!r}: {error}") from None
                scores[m, p] = torch.stack([found[name] for name in GROUNDING_SCORES]).cpu().numpy()
        drawn_with = f"image {id}" if patient is None else f"patient {patient}"
        self._images[id] = [
            _Row(
                phrase=hashlib.sha256(group.encode()).hexdigest()[:12],
                group=group if group in self.classes else PHRASES,
                patient=drawn_with,
                scores=scores[..., place],
            )
            for place, group in enumerate(groups)
        ]

    def merge(self) -> None:
        """Take the samples of all processes together; every process then has the same table."""
        self._images = gather_rows(self._images)

    def summary(self) -> dict[str, Any]:
        """Means with intervals, for a JSON file.

        Returns:
            ``samples``, ``images`` and, under ``protocols``, for each the text of the ``protocol``, ``mean`` over its
            average and ``classes`` with their number of ``samples``; each has the methods ``model`` and
            ``centered box`` and their ``margin``, and each of these ``[estimate, low, high]`` of the scores. What is
            not defined is null. There are no protocols where there are no samples.
        """
        rows = [row for image in self._images.values() for row in image]
        found: dict[str, Any] = {"samples": len(rows), "images": len(self._images), "protocols": {}}
        if not rows:
            return found
        table = np.stack([row.scores for row in rows])  # [N, methods, protocols, scores]
        groups = np.array([row.group for row in rows])
        patients = np.array([row.patient for row in rows])
        for p, protocol in enumerate(self.protocols):
            scores = table[:, :, p]
            classes = {}
            for name in sorted(set(groups.tolist())):
                member = groups == name
                classes[name] = {"samples": int(member.sum())} | self._intervals(scores[member], patients[member], None)
            mean = self._intervals(scores, patients, groups if protocol.average == "class" else None)
            found["protocols"][protocol.name] = {"protocol": str(protocol), "mean": mean, "classes": classes}
        return found

    def _intervals(
        self, scores: NDArray[np.float64], patients: NDArray[Any], groups: NDArray[Any] | None
    ) -> dict[str, dict[str, list[float | None]]]:
        """Intervals of [n, methods, scores] and of the margin, drawn together."""
        model, box = scores[:, 0], scores[:, 1]
        columns = np.concatenate([model, box, model - box], axis=1)
        interval = bootstrap_interval(
            columns,
            clusters=patients.tolist(),
            groups=None if groups is None else groups.tolist(),
            statistic="mean" if groups is None else "class_mean",
            **self.bootstrap,  # type: ignore[arg-type]
        )
        bounds = np.stack(interval).reshape(3, 3, -1)  # [bound, method, score]
        return {
            method: {
                score: [float(value) if np.isfinite(value) else None for value in bounds[:, m, s]]
                for s, score in enumerate(GROUNDING_SCORES)
            }
            for m, method in enumerate((*METHODS, "margin"))
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line a sample, method and protocol: ``id, phrase, class, method, protocol, iou, ...``."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "phrase", "class", "method", "protocol", *GROUNDING_SCORES])
            for id, row in ((id, row) for id, image in self._images.items() for row in image):
                name = "" if row.group == PHRASES else row.group
                for m, method in enumerate(METHODS):
                    for p, protocol in enumerate(self.protocols):
                        values = [f"{value:.6g}" for value in row.scores[m, p]]
                        writer.writerow([id, row.phrase, name, method, protocol.name, *values])

    @staticmethod
    def describe(summary: dict[str, Any]) -> str:
        """The means of a summary as text, each under the whole of its protocol."""
        lines = [f"{summary['samples']} samples of {summary['images']} images"]
        for entry in summary["protocols"].values():
            lines.append(entry["protocol"])
            for method, scores in entry["mean"].items():
                values = (f"{name} {_text(bounds)}" for name, bounds in scores.items())
                lines.append(f"  {method:<12}  " + "  ".join(values))
        return "\n".join(lines)


def _text(bounds: list[float | None]) -> str:
    return str(Interval(*bounds)) if None not in bounds else "not defined"
