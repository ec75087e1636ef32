# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite metric: one figure of a classifier for the validations of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from monai.utils import CommonKeys as Keys
from monai.utils import convert_to_numpy
from numpy.typing import NDArray

from radbundles.components.metrics.gather import gather_rows
from radbundles.components.metrics.outcomes import known_outcomes
from radbundles.components.metrics.weighted import weighted_auroc
from radbundles.components.metrics.weighted_classification import weighted_confusion, weighted_multiclass_scores

__all__ = ["ClassificationMetric"]

SCORES = ("auroc", "accuracy", "balanced_accuracy", "kappa")


class ClassificationMetric(Metric):
    """AUROC of a multi-label classifier, or accuracy, balanced accuracy or kappa of a multi-class one, of one epoch.

    Made to tell the best weights apart; judge a trained model by ``evaluate.json``, whose scores have intervals. The
    engine's output holds ``image["id"]`` (list of B), ``image["labels"]`` ([B, K]) and ``pred["logits"]`` ([B, K]). The
    samples of all processes are judged together, each once. Unknown labels take no part.

    - ``auroc``: mean over the classes that have both outcomes (official: the unweighted mean too, but it fails where
      a class has one outcome only).
    - ``accuracy``: share of samples whose class has the highest logit.
    - ``balanced_accuracy``: mean sensitivity of the classes that occur.
    - ``kappa``: quadratic weighted kappa, for classes in an order such as grades.

    Args:
        score: which one.
        labels: [N, K] labels of the section, for example ``@validation#items#labels``: what cannot be judged on them is
            said at once and not after the first epoch of training.

    Raises:
        ValueError: another score, or labels on which it is not defined, given here or met in an epoch.
    """

    required_output_keys = (Keys.IMAGE, Keys.PRED)

    def __init__(self, score: str = "auroc", *, labels: Sequence[Sequence[int]] | NDArray[Any] | None = None) -> None:
        if score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, got {score!r}")
        self.score = score
        if labels is not None:
            self._check(np.asarray(labels))
        super().__init__()

    def reset(self) -> None:
        """Forget all samples."""
        self._rows: dict[str, tuple[NDArray[np.float32], NDArray[Any]]] = {}

    def update(self, output: Any) -> None:
        """Add a batch: what is under ``image`` and ``pred`` in the engine's output."""
        batch, pred = output
        # bfloat16 has no NumPy type
        logits: torch.Tensor = pred["logits"].detach().float()
        pairs = zip(batch["id"], convert_to_numpy(logits), convert_to_numpy(batch["labels"]), strict=True)
        self._rows |= {id: (logit, label) for id, logit, label in pairs}

    def compute(self) -> float:
        """The score of all samples of all processes."""
        rows = gather_rows(self._rows)
        logits, labels = (np.stack([row[place] for row in rows.values()]) for place in (0, 1)) if rows else 2 * [_NONE]
        self._check(labels)
        outcomes = known_outcomes(logits, labels)  # also refuses what is not finite
        if self.score == "auroc":
            parts = [
                weighted_auroc(outcome.scores, outcome.positive, np.ones((1, len(outcome.rows))))[0]
                for outcome in outcomes
                if not outcome.one_sided
            ]
            return float(np.mean(parts))
        known = (labels == 1).sum(1) == 1
        called, truth = logits[known].argmax(1), labels[known].argmax(1)
        confusion = weighted_confusion(called, truth, labels.shape[1], np.ones((1, len(called))))
        name = "kappa_quadratic" if self.score == "kappa" else self.score
        return float(weighted_multiclass_scores(confusion, ordinal=True)[name][0])

    def _check(self, labels: NDArray[Any]) -> None:
        """Raise where the score is not defined, and say what to do."""
        if self.score == "auroc":
            fit = ((labels == 1).any(0) & (labels == 0).any(0)).sum() > 0
            lacks = "no class of which both outcomes occur"
        else:
            occurring = len(set(labels[(labels == 1).sum(1) == 1].argmax(1).tolist()))
            fit = occurring > (self.score == "kappa")
            lacks = "samples of fewer than two classes" if self.score == "kappa" else "no sample of a known class"
        if not fit:
            raise ValueError(
                f"the validation section has {lacks}, so {self.score} is not defined on its {len(labels)} samples; "
                "select weights by the loss instead, or put more samples into the section"
            )


_NONE: NDArray[Any] = np.zeros((0, 1))
