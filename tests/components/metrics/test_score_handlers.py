# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The scoring handlers in a MONAI evaluator built from a config, and under two processes."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator

CLASSES = ["edema", "effusion", "nodule"]


def batches(count: int = 4) -> list[dict[str, Any]]:
    """Batches of two and three samples as a collate function makes them, with what the network says of them."""
    random = torch.Generator().manual_seed(1)
    found: list[dict[str, Any]] = []
    for place in range(count):
        B = 2 + place % 2
        labels = torch.randint(-1, 2, (B, 3), generator=random)
        sizes = [(8 + place + k, 9) for k in range(B)]
        masks = [torch.rand(2, *size, generator=random) > 0.7 for size in sizes]
        pred = {
            "scores": (torch.randn(B, 3, generator=random) + labels).bfloat16(),
            "masks": masks,
            "maps": [(torch.rand(mask.shape, generator=random) + mask).tanh() for mask in masks],
            "groups": [["edema", "a phrase"]] * B,
        }
        ids = [f"{place}-{k}" for k in range(B)]
        found.append(
            {"image": torch.zeros(B, 1), "id": ids, "labels": labels, "patient": [None, *ids[1:]], "pred": pred}
        )
    return found


class Replay(torch.nn.Module):
    """Stands in for a network: returns the results that came with the batch."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch["pred"]


def evaluate(folder: Path, data: list[dict[str, Any]], task: str | None = None, **options: Any) -> dict[str, float]:
    config = [
        {
            "_target_": "radbundles.components.metrics.ScoreGrounding",
            "folder": str(folder),
            "task": task,
            "table": {
                "_target_": "radbundles.components.metrics.GroundingTable",
                "protocols": ["dcxfm", "biovil"],
                "classes": CLASSES,
                "resamples": 50,
            },
        },
        {
            "_target_": "radbundles.components.metrics.ScoreClassification",
            "folder": str(folder),
            "classes": CLASSES,
            "resamples": 50,
            **options,
        },
    ]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=data,
        network=Replay(),
        prepare_batch=lambda batch, device, non_blocking, **kwargs: (batch, None),
        val_handlers=ConfigParser({"handlers": config}).get_parsed_content("handlers", instantiate=True),
        decollate=False,
    )
    evaluator.run()
    evaluator.run()  # a second epoch starts from nothing
    return evaluator.state.metrics


def test_metrics_and_files_of_an_evaluator(tmp_path: Path) -> None:
    metrics = evaluate(tmp_path, batches())
    scores = [f"{name}_{score}" for name in ("dcxfm", "biovil") for score in ("iou", "dice", "pointing", "cnr")]
    expected = {f"{prefix}_{score}" for prefix in ("grounding", "grounding_centered_box") for score in scores}
    assert set(metrics) == {*expected, "classification_auroc"}
    assert metrics["grounding_dcxfm_iou"] > metrics["grounding_centered_box_dcxfm_iou"]
    grounding = json.loads((tmp_path / "grounding.json").read_text())
    assert grounding["samples"] == 20 and grounding["images"] == 10
    for name in ("dcxfm", "biovil"):
        entry = grounding["protocols"][name]
        assert entry["mean"]["model"]["iou"][0] == metrics[f"grounding_{name}_iou"]
        assert entry["protocol"].startswith(f"{name}: ") and set(entry["classes"]) == {"edema", "phrases"}
    classification = json.loads((tmp_path / "classification.json").read_text())
    assert classification["samples"] == 10
    assert classification["mean"]["auroc"][0] == metrics["classification_auroc"] > 0.6
    lines = list(csv.DictReader((tmp_path / "classification.csv").read_text().splitlines()))
    assert [line["id"] for line in lines] == sorted(id for batch in batches() for id in batch["id"])
    assert [int(lines[0][f"label {name}"]) for name in CLASSES] == batches()[0]["labels"][0].tolist()
    assert float(lines[0]["score nodule"]) == pytest.approx(batches()[0]["pred"]["scores"][0, 2].item(), rel=1e-5)


def test_lists_of_a_task_are_scored_under_its_name(tmp_path: Path) -> None:
    plain = evaluate(tmp_path / "plain", batches())
    data = batches()
    for batch in data:
        batch["pred"]["zones"] = {name: batch["pred"].pop(name) for name in ("maps", "masks", "groups")}
    found = evaluate(tmp_path / "task", data, task="zones")
    assert found["zones_dcxfm_iou"] == plain["grounding_dcxfm_iou"]
    assert found["zones_centered_box_dcxfm_iou"] == plain["grounding_centered_box_dcxfm_iou"]


def test_thresholds_of_one_run_serve_the_next(tmp_path: Path) -> None:
    evaluate(tmp_path / "validation", batches())
    first = json.loads((tmp_path / "validation" / "classification.json").read_text())
    assert set(first["mean"]) == {"auroc"} and set(first["best_thresholds"]) == set(CLASSES)
    metrics = evaluate(tmp_path, batches(), thresholds=str(tmp_path / "validation" / "classification.json"))
    found = json.loads((tmp_path / "classification.json").read_text())
    for name in CLASSES:
        assert found["classes"][name]["threshold"] == first["best_thresholds"][name]
    assert metrics["classification_mcc"] == found["mean"]["mcc"][0] > 0.3
    assert {"classification_f1", "classification_accuracy"} < set(metrics)


def test_thresholds_of_other_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"best_thresholds": {"edema": 0.5}}')
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps what a component raises
        evaluate(tmp_path, batches(), thresholds=str(tmp_path / "old.json"))
    assert "no thresholds for effusion, nodule" in str(caught.value.__cause__)


def test_exclusive_classes_get_an_accuracy_over_them(tmp_path: Path) -> None:
    data = batches()
    for batch in data:
        batch["labels"] = torch.nn.functional.one_hot(torch.arange(len(batch["labels"])), 3)
        batch["pred"]["scores"] = batch["labels"].float()
    data[0]["pred"]["scores"] = data[0]["pred"]["scores"].flip(1)
    metrics = evaluate(tmp_path, data, exclusive=True)
    # of 10 samples the first of two in the first batch is wrong, the second is the middle class
    assert metrics["classification_accuracy_over_classes"] == 0.9
    found = json.loads((tmp_path / "classification.json").read_text())["accuracy_over_classes"]
    assert found[0] == 0.9 and found[1] < 0.9 <= found[2]


def test_class_of_one_outcome_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = batches()
    for batch in data:
        batch["labels"][:, 1] = 1
    metrics = evaluate(tmp_path, data)
    assert "one outcome: effusion" in caplog.text and not math.isnan(metrics["classification_auroc"])
    assert json.loads((tmp_path / "classification.json").read_text())["one_sided"] == ["effusion"]


PROCESS = """
import sys
from pathlib import Path

import torch
import ignite.distributed as idist

sys.path.insert(0, sys.argv[3])
from test_score_handlers import batches, evaluate

torch.set_num_threads(1)
folder, rank = Path(sys.argv[1]), int(sys.argv[2])
idist.initialize("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
data = batches()
evaluate(folder / f"{rank}", [data[0], data[2]] if rank == 0 else [data[1], data[3], data[0]])
idist.finalize()
"""


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    commands = [[sys.executable, "-c", PROCESS, str(tmp_path), str(rank), here] for rank in (0, 1)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()  # one that waits in vain for the other
    evaluate(tmp_path / "one", batches())
    for name in ("grounding.json", "grounding.csv", "classification.json", "classification.csv"):
        assert (tmp_path / "0" / name).is_file(), errors[0]
        assert (tmp_path / "0" / name).read_text() == (tmp_path / "one" / name).read_text()
    assert not (tmp_path / "1").exists(), "only the first process writes"
