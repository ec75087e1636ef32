# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The figure of a classifier during training, as the key metric of a MONAI evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator

from radbundles.components.metrics import ClassificationMetric

sklearn: Any = pytest.importorskip("sklearn.metrics")


class Echo(torch.nn.Module):
    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"logits": batch["logits"]}


def samples(task: str, count: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    if task == "multilabel":
        labels = random.integers(-1, 2, (count, 3))
        labels[:, 2] = np.where(labels[:, 2] > 0, -1, labels[:, 2])  # no positives
    else:
        labels = np.eye(4, dtype=int)[random.integers(0, 4, count)]
        labels[0] = -1
    return torch.tensor(random.normal(size=labels.shape) + labels, dtype=torch.bfloat16), torch.tensor(labels)


def run(score: str, logits: torch.Tensor, labels: torch.Tensor) -> float:
    target = "radbundles.components.metrics.ClassificationMetric"
    metric = ConfigParser({"metric": {"_target_": target, "score": score}}).get_parsed_content("metric")
    rows = [*range(len(logits)), 0]  # the first sample comes twice
    batches = [
        {"image": torch.zeros(1), "id": [str(n) for n in part], "labels": labels[part], "logits": logits[part]}
        for part in (rows[:7], rows[7:])
    ]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches,
        network=Echo(),
        prepare_batch=lambda batch, *_, **__: (batch, None),
        key_val_metric={"figure": metric},
        decollate=False,
    )
    evaluator.run()
    return float(evaluator.state.metrics["figure"])


def test_auroc_is_the_mean_over_classes_of_two_outcomes() -> None:
    logits, labels = samples("multilabel")
    known = [labels[:, k] >= 0 for k in range(2)]
    wanted = [sklearn.roc_auc_score(labels[known[k], k], logits[known[k], k].float()) for k in range(2)]
    assert run("auroc", logits, labels) == pytest.approx(np.mean(wanted), rel=1e-12)


@pytest.mark.parametrize("score", ["accuracy", "balanced_accuracy", "kappa"])
def test_score_of_a_choice_equals_scikit_learn(score: str) -> None:
    logits, labels = samples("multiclass")
    truth, called = labels[1:].argmax(1), logits[1:].argmax(1)  # nothing is known of the first
    wanted = {
        "accuracy": sklearn.accuracy_score(truth, called),
        "balanced_accuracy": sklearn.balanced_accuracy_score(truth, called),
        "kappa": sklearn.cohen_kappa_score(truth, called, weights="quadratic"),
    }
    assert run(score, logits, labels) == pytest.approx(wanted[score], rel=1e-12)


def test_labels_on_which_it_is_not_defined_are_refused_before_training() -> None:
    with pytest.raises(ValueError, match="no class of which both outcomes occur, so auroc .*by the loss"):
        ClassificationMetric("auroc", labels=[[1, 0], [1, -1]])
    with pytest.raises(ValueError, match="fewer than two classes"):
        ClassificationMetric("kappa", labels=[[1, 0], [-1, -1]])
    ClassificationMetric("accuracy", labels=[[1, 0], [-1, -1]])


def test_epoch_on_which_it_is_not_defined_is_an_error() -> None:
    with pytest.raises(ValueError, match="not defined on its 3 samples"):
        run("auroc", torch.zeros(3, 2), torch.ones(3, 2, dtype=torch.int64))


def test_epoch_without_samples_is_an_error() -> None:
    metric = ClassificationMetric("accuracy")
    metric.reset()
    with pytest.raises(ValueError, match="no sample"):
        metric.compute()


def test_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match="'auc'"):
        ClassificationMetric("auc")
