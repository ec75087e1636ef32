# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points and evaluation of a classifier by the handlers, in MONAI evaluators built from a config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator

from radbundles.components.evaluation import ClassificationEvaluator, PredictionTable, read_table
from radbundles.components.reports import check_manifest

HERE = "radbundles.components.evaluation"
CLASSES = ["edema", "large heart", "nodule"]


class Echo(torch.nn.Module):
    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"logits": batch["logits"]}


def section(name: str, task: str = "multilabel", count: int = 44) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Items and batches of a section, two images a patient; nobody has a nodule on validation."""
    random = np.random.default_rng(len(name))
    labels = random.integers(-1, 2, (count, 3))
    if task == "multiclass":
        labels = np.eye(3, dtype=int)[random.integers(0, 3, count)]
    elif name == "validation":
        labels[:, 2] = np.minimum(labels[:, 2], 0)
    logits = torch.tensor(random.normal(size=(count, 3)) + 2 * labels).bfloat16()
    items = [
        {
            "id": f"{name}-{n:02}",
            "image": "a.png",
            "patient": f"MRN-{n // 2}",
            "sex": "FM"[n // 2 % 2],
            "metadata": {"site": "North" if n % 3 else "South"},
        }
        for n in range(count)
    ]
    batches = [
        {
            "image": torch.zeros(len(part), 1),
            "id": [items[n]["id"] for n in part],
            "labels": torch.tensor(labels)[part],
            "logits": logits[part],
        }
        for part in (range(start, min(start + 8, count)) for start in range(0, count, 8))
    ]
    return items, batches


def run(batches: list[dict[str, Any]], handler: dict[str, Any], task: str = "multilabel", **judge: Any) -> Any:
    config = {
        "judge": {"_target_": f"{HERE}.ClassificationEvaluator", "classes": CLASSES, "task": task, "resamples": 50},
        "handler": handler,
    }
    config["judge"] |= judge
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches,
        network=Echo(),
        prepare_batch=lambda batch, *_, **__: (batch, None),
        val_handlers=[ConfigParser(config).get_parsed_content("handler")],
        decollate=False,
    )
    evaluator.run()
    return evaluator.state.metrics


def fit(folder: Path, task: str = "multilabel", **settings: Any) -> Path:
    path = folder / "operating_points.json"
    handler = {"_target_": f"{HERE}.FitOperatingPoints", "evaluator": "@judge", "path": str(path)} | settings
    run(section("validation", task)[1], handler, task)
    return path


def write(folder: Path, task: str = "multilabel", batches: Any = None, **settings: Any) -> Any:
    items, whole = section("test", task)
    handler = {
        "_target_": f"{HERE}.WriteEvaluation",
        "evaluator": "@judge",
        "folder": str(folder),
        "items": items,
        "columns": ["sex", "view", "metadata.site"],
    }
    return run(whole if batches is None else batches, handler | settings, task)


def test_points_of_validation_are_written_with_what_they_belong_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points = json.loads(fit(tmp_path).read_text())
    assert points["task"] == "multilabel" and points["classes"] == CLASSES and points["section"] == "validation"
    assert points["samples"] == 44 and points["rule"] == "youden"
    assert points["thresholds"]["nodule"] is None and 0 < points["thresholds"]["edema"] < 1
    assert "nodule" in caplog.text and "MRN" not in caplog.text


def test_points_are_never_chosen_on_test(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps what a component raises
        fit(tmp_path, section="test")
    assert "never on the section 'test'" in str(caught.value.__cause__)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_evaluation_can_be_computed_again_from_its_table(tmp_path: Path, task: Any) -> None:
    metrics = write(tmp_path, task, points=str(fit(tmp_path, task)))
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["section"] == "test" and found["samples"] == 44 and found["patients"] == 22
    assert {name: entry[0] for name, entry in found["mean"].items()} == pytest.approx(metrics)
    table = read_table(tmp_path)
    assert isinstance(table, PredictionTable) and table.task == task
    judge = ClassificationEvaluator(CLASSES, task, resamples=50)
    again = judge.judge(table.hashed("salt"), found["operating_points"]).result
    for part in ("classes", "mean", "calibration", "subgroups"):
        text = json.dumps(again[part], default=lambda array: array.tolist()).replace("NaN", "null")
        assert json.loads(text) == found[part]


def test_folder_of_no_evaluation_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no result of an evaluation"):
        read_table(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"task": "captions"}')
    with pytest.raises(ValueError, match="task 'captions'"):
        read_table(tmp_path)


def test_patients_are_nowhere_and_subgroups_part_the_samples(tmp_path: Path) -> None:
    write(tmp_path, points=str(fit(tmp_path)), report=str(tmp_path / "run.json"), settings={"epochs": 3})
    for path in tmp_path.iterdir():
        assert "MRN" not in path.read_text(), path
    groups = json.loads((tmp_path / "evaluation.json").read_text())["subgroups"]
    assert set(groups) == {"sex", "metadata.site"}, "nobody said the view"
    for column in groups.values():
        assert sum(entry["samples"] for entry in column.values()) == 44
    assert groups["sex"]["F"]["patients"] == 11 and len(groups["sex"]["F"]["auroc"]) == 3
    manifest = json.loads((tmp_path / "run.json").read_text())
    check_manifest(manifest)
    assert manifest["config"] == {"epochs": 3} and manifest["metrics"]["edema/auroc"] > 0.5
    assert set(manifest["seconds"]) == {"inference", "scores"}


def test_thresholds_are_those_of_validation(tmp_path: Path) -> None:
    points = json.loads(fit(tmp_path).read_text())
    write(tmp_path, points=points)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["classes"]["edema"]["threshold"] == points["thresholds"]["edema"]
    assert found["classes"]["nodule"]["threshold"] == 0.5
    assert any("nodule: threshold 0.5 was taken" in note for note in found["notes"])


def test_without_points_and_on_their_own_section_the_notes_say_so(tmp_path: Path) -> None:
    write(tmp_path / "a")
    assert "plain defaults" in (tmp_path / "a" / "evaluation.json").read_text()
    write(tmp_path / "b", points=str(fit(tmp_path)), section="validation")
    assert "chosen on this very section" in (tmp_path / "b" / "evaluation.json").read_text()


def test_points_of_other_classes_stop_the_run_before_its_first_batch(tmp_path: Path) -> None:
    path = fit(tmp_path)
    path.write_text(path.read_text().replace("large heart", "small heart"))
    with pytest.raises(ValueError, match="operating_points.json are for classes"):
        write(tmp_path, points=str(path), batches=[None])
    with pytest.raises(FileNotFoundError, match="no file of operating points"):
        write(tmp_path, points=str(tmp_path / "none.json"), batches=[None])


def test_samples_that_lack_or_are_strange_are_told(tmp_path: Path) -> None:
    batches = section("test")[1]
    write(tmp_path, batches=batches[:2])
    assert "28 of 44 samples of the section were not evaluated" in (tmp_path / "evaluation.json").read_text()
    with pytest.raises(ValueError, match="'validation-00', which is not among the items"):
        write(tmp_path, batches=section("validation")[1])
    with pytest.raises(RuntimeError) as caught:
        write(tmp_path, items=[])
    assert "the section 'test' has no items" in str(caught.value.__cause__)


def test_logits_of_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    batches = section("test")[1]
    batches[0]["logits"] = batches[0]["logits"][:, :2]
    with pytest.raises(ValueError, match=r"must be \[B, 3\], got \[8, 2\] and \[8, 3\]"):
        write(tmp_path, batches=batches)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["a", "a"]}, "different names"),
        ({"classes": ["a"], "task": "multiclass"}, "different names"),
        ({"task": "detection"}, "'detection'"),
        ({"ordinal": True}, "have no order"),
        ({"rule": "best"}, "'best'"),
    ],
)
def test_evaluator_refuses_what_makes_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationEvaluator(**({"classes": CLASSES} | settings))


PROCESS = """
import sys
from pathlib import Path

import torch
import ignite.distributed as idist

sys.path.insert(0, sys.argv[3])
from test_handlers import section, write

torch.set_num_threads(1)
folder, rank = Path(sys.argv[1]), int(sys.argv[2])
idist.initialize("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
batches = section("test")[1]
write(folder / f"{rank}", batches=[*batches[rank::2], batches[0]])  # the first batch comes three times
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
    write(tmp_path / "one")
    for name in ("predictions.csv", "evaluation.json", "report.html"):
        assert (tmp_path / "0" / name).is_file(), errors[0]
        assert (tmp_path / "0" / name).read_text() == (tmp_path / "one" / name).read_text()
    assert not (tmp_path / "1").exists(), "only the first process writes"
