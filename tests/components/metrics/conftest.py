# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A made-up batch with what the ECAMP objective returns for it, in the form an evaluator puts out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch


def make_output(samples: int = 5, seed: int = 0) -> dict[str, Any]:
    """Evaluator output of ``samples`` samples: 32-pixel target, 64-pixel image, 4 x 4 patches, 12 tokens, 7 ids."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    masked = torch.rand(samples, 12, generator=random) < 0.5
    corner = torch.randint(0, 3, (samples, 2), generator=random) / 14
    return {
        "image": {
            "image": normal(samples, 3, 64, 64),
            "labels": torch.randint(0, 7, (samples, 12), generator=random),
            "masked": masked,
            "entity": torch.rand(samples, 12, generator=random) < 0.4,
            "window": torch.cat([corner, corner + 12 / 14], dim=1),
        },
        "label": None,
        "pred": {
            **{name: normal().abs() for name in ("loss", "mim", "sr", "mlm")},
            "target": normal(samples, 3, 32, 32),
            "mask": (torch.rand(samples, 16, generator=random) < 0.75).float(),
            "reconstruction": normal(samples, 3, 32, 32),
            "super_resolution": normal(samples, 3, 64, 64),
            "logits": normal(int(masked.sum()), 7),
        },
    }


def take(output: dict[str, Any], rows: slice) -> dict[str, Any]:
    """The part of an output that a batch of those rows would have given."""
    batch, pred = output["image"], dict(output["pred"])
    counts = batch["masked"].sum(1).tolist()
    start, stop = sum(counts[: rows.start]), sum(counts[: rows.stop])
    for key in ("target", "mask", "reconstruction", "super_resolution"):
        pred[key] = pred[key][rows]
    pred["logits"] = pred["logits"][start:stop]
    return {"image": {key: value[rows] for key, value in batch.items()}, "label": None, "pred": pred}


def measure(metric: Any, *outputs: dict[str, Any]) -> float:
    """Value of a metric over an epoch of these outputs."""
    metric.reset()
    for output in outputs:
        metric.update(metric._output_transform(output))
    return metric.compute()


@pytest.fixture
def output() -> dict[str, Any]:
    """Evaluator output of five samples."""
    return make_output()


@pytest.fixture
def outputs() -> list[dict[str, Any]]:
    """Evaluator outputs of an epoch of two batches, 3 and 2 samples."""
    return [make_output(3, seed=1), make_output(2, seed=2)]


@pytest.fixture
def value_of() -> Callable[..., float]:
    """Function (metric, output, ...) -> value over the epoch."""
    return measure


@pytest.fixture
def rows_of() -> Callable[[dict[str, Any], slice], dict[str, Any]]:
    """Function (output, slice) -> output of these samples alone."""
    return take
