# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics in a MONAI evaluator built from a config, and under two processes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator

from radbundles.components.metrics import (
    EpochMean,
    ImagePSNR,
    ImageSSIM,
    LossAverage,
    MaskedTokenAccuracy,
    MaskedTokenCount,
)

ValueOf = Callable[..., float]

CONFIG = {
    "entity_accuracy": {"_target_": "radbundles.components.metrics.MaskedTokenAccuracy", "subset": "entity"},
    "entity_tokens": {"_target_": "radbundles.components.metrics.MaskedTokenCount", "subset": "entity"},
    "psnr": {"_target_": "radbundles.components.metrics.ImagePSNR"},
    "sr_ssim": {"_target_": "radbundles.components.metrics.ImageSSIM", "part": "super_resolution"},
    "mlm": {"_target_": "radbundles.components.metrics.LossAverage", "name": "mlm"},
}


class Replay(torch.nn.Module):
    """Stands in for an objective: returns the results that came with the batch."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch["pred"]


def all_metrics() -> Iterator[EpochMean]:
    """One metric of every kind."""
    yield from (MaskedTokenAccuracy("entity"), MaskedTokenCount(), LossAverage("mim"))
    yield from (ImagePSNR("reconstruction"), ImagePSNR("super_resolution"))
    yield from (ImageSSIM("reconstruction"), ImageSSIM("super_resolution"))


def test_evaluator_built_from_config_reports_the_epoch(outputs: list[dict[str, Any]], value_of: ValueOf) -> None:
    parser = ConfigParser({"metrics": CONFIG})
    metrics = parser.get_parsed_content("metrics", instantiate=True)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{**output["image"], "pred": output["pred"]} for output in outputs],
        network=Replay(),
        prepare_batch=lambda batch, device, non_blocking, **kwargs: (batch, None),
        key_val_metric={"entity_accuracy": metrics.pop("entity_accuracy")},
        additional_metrics=metrics,
        decollate=False,
    )
    evaluator.run()
    evaluator.run()  # a second epoch starts from nothing
    values = evaluator.state.metrics
    assert set(values) == set(CONFIG)
    assert evaluator.state.best_metric == values["entity_accuracy"]
    assert values["entity_accuracy"] == value_of(MaskedTokenAccuracy("entity"), *outputs)
    losses = [output["pred"]["mlm"].item() for output in outputs]
    assert values["mlm"] == pytest.approx((3 * losses[0] + 2 * losses[1]) / 5, rel=1e-6)


def test_epoch_without_a_batch_gives_nan(value_of: ValueOf) -> None:
    for metric in all_metrics():
        value = value_of(metric)
        assert value == 0 if isinstance(metric, MaskedTokenCount) else math.isnan(value)


def test_unknown_loss_is_named(output: dict[str, Any], value_of: ValueOf) -> None:
    with pytest.raises(KeyError, match="no loss 'mae'"):
        value_of(LossAverage("mae"), output)


# One of two processes: measures its part of the epoch, saves the value that both agreed on.
PROCESS = """
import sys, torch
from ignite import distributed as idist
from radbundles.components.metrics import *

torch.set_num_threads(1)
folder, rank = sys.argv[1], int(sys.argv[2])
idist.initialize("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
output = torch.load(f"{folder}/output{rank}.pt", weights_only=True)
values = []
for metric in (MaskedTokenAccuracy("entity"), MaskedTokenCount(), LossAverage("mim"), ImagePSNR(), ImageSSIM()):
    metric.update(metric._output_transform(output))
    values.append(metric.compute())
torch.save(values, f"{folder}/values{rank}.pt")
idist.finalize()
"""


def test_two_processes_agree_with_one(outputs: list[dict[str, Any]], value_of: ValueOf, tmp_path: Path) -> None:
    for rank, output in enumerate(outputs):
        torch.save(output, tmp_path / f"output{rank}.pt")
    commands = [[sys.executable, "-c", PROCESS, str(tmp_path), str(rank)] for rank in (0, 1)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()  # one that waits in vain for the other
    metrics = (MaskedTokenAccuracy("entity"), MaskedTokenCount(), LossAverage("mim"), ImagePSNR(), ImageSSIM())
    expected = [value_of(metric, *outputs) for metric in metrics]
    for rank in (0, 1):
        assert (tmp_path / f"values{rank}.pt").is_file(), errors[rank]
        assert torch.load(tmp_path / f"values{rank}.pt", weights_only=True) == pytest.approx(expected, rel=1e-6)
