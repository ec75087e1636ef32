# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes train and evaluate as one does with their batches together."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.distillation import RuleDistiller, distill_datalist
from radbundles.components.phantom import write_phantoms
from radbundles.components.sentences import label_sentences

Settings = dict[str, Any]
NAMES = [
    *("ecamp_pretrain", "dcxfm_pretrain", "dcxfm_dense"),
    *("ecamp_classification", "ecamp_segmentation", "ecamp_detection"),
]
EVALUATED = NAMES[1:]  # what ecamp_pretrain hides of an image is drawn by each process
FOUND = {name: "evaluation/evaluation.json" for name in EVALUATED}
STEPS = 6

# Runs one after the other, each as the command of its own would be, in processes that import all but once.
IN_TURN = '''
import hashlib, json, os, sys
import torch
from monai.bundle import run
from radbundles.components.data import collate_reports

def collate():
    """Reports with noise that is a function of the sample, so that every process hides the same patches."""
    def make(samples):
        seeds = [int(hashlib.sha256(sample["id"].encode()).hexdigest()[:8], 16) for sample in samples]
        noise = [torch.rand(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return {**collate_reports()(samples), "noise": torch.stack(noise)}
    return make

if __name__ == "__main__":
    for port, options in json.load(open(sys.argv[1])):
        os.environ |= {"MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
        run(**options)
'''


def small(name: str, data: Path) -> Settings:
    """Settings of six steps in a moment, on 8 images each."""
    vit = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}
    every = {
        "dataset_dir": str(data),
        "image_size": 64,
        "epochs": 2,
        "num_workers": 0,
        "warmup_epochs": 0,
        # Adam makes steps of full length out of gradients that are nothing but rounding, as of a bias before a
        # normalization; this keeps them small.
        "optimizer#eps": 1e-3,
    }
    structures = {"epoch_batches": STEPS // 2, "classes": ["left lung", "heart"]}
    own: dict[str, Settings] = {
        "ecamp_pretrain": {
            "accumulation_steps": 2,
            "collate": {"_target_": "in_turn.collate"},
            "schedule_epochs": 4,
            **{f"network_def#{key}": 16 for key in ("dim", "decoder_dim", "text_dim", "text_ffn")},
            "network_def#depth": 1,
        },
        "dcxfm_pretrain": {
            "learning_rate": 1e-3,
            "table": "findings",
            "global_crops": 2,
            "local_size": 32,
            "prototypes": 8,
            "network_def#image#encoder#widths": [4, 8],
            **{
                key: 16
                for key in (
                    "dim",
                    "head_hidden",
                    "head_bottleneck",
                    *(f"network_def#text#encoder#{x}" for x in ("dim", "ffn")),
                )
            },
        },
        "dcxfm_dense": {
            **structures,
            "learning_rate": 1e-3,
            "stage1_weights": "$None",
            "tokenizer": str(data / "tokenizer.json"),
            "guidance_dims": [4, 0],
            "guidance_widths": [16, 0],
            "decoder_widths": [16, 16],
            "aggregator_dim": 32,
            "window": 4,
            "network_def#dcxfm#image#encoder#widths": [4, 8],
            **{key: 16 for key in ("dim", *(f"network_def#dcxfm#text#encoder#{x}" for x in ("dim", "ffn")))},
        },
        "ecamp_classification": {
            **structures,
            "optimizer#eps": 1e-5,
            "classes": ["calcified", "rotated"],
            "encoder": vit,
            "stored_size": 72,
        },
        "ecamp_segmentation": {**structures, "encoder": vit, "decoder_widths": [8, 8, 8]},
        "ecamp_detection": {**structures, "encoder": vit, "detector": {"kind": "retinanet", "out_channels": 16}},
    }
    return {**every, **own[name]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of phantoms with all that the bundles need, of which every third label is unknown."""
    folder = tmp_path_factory.mktemp("data")
    datalist = write_phantoms(folder, count=24, seed=3, size=96, splits=(0.5, 0.25, 0.25))
    content = json.loads(datalist.read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        for place, item in enumerate(content[section]):
            item["labels"] |= {"calcified": place % 2, "rotated": place // 2 % 2 if place % 3 else -1}
    content["label_names"] = list(content["training"][0]["labels"])
    datalist.write_text(json.dumps(content), encoding="utf-8")
    distill_datalist(datalist, folder / "distilled.jsonl", RuleDistiller("chest"))
    corpus = ReportCorpus(datalist, distilled=folder / "distilled.jsonl")
    train_tokenizer(corpus, vocab_size=500, out=folder / "tokenizer.json")
    label_sentences(datalist, folder / "sentences.jsonl", table="findings")
    return folder


def options(bundle: Path, configs: tuple[str, ...], **settings: Any) -> Settings:
    return {
        "config_file": [str(bundle / "configs" / f"{name}.json") for name in configs],
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "bundle_root": str(bundle),
        **settings,
    }


@pytest.fixture(scope="module")
def two(repository: Path, data: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training and an evaluation of each bundle by the same two processes, and of what these said."""
    folder = tmp_path_factory.mktemp("two")
    runs = []
    for name in NAMES:
        bundle, settings = repository / "bundles" / name, {**small(name, data), "output_dir": str(folder / name)}
        overlays = [("multi_gpu_train",)] + [("evaluate", "multi_gpu_evaluate")] * (name in EVALUATED)
        runs += [options(bundle, ("train", "tiny", *overlay), **settings, batch_size=2) for overlay in overlays]
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = min(server.getsockname()[1], 65000)
    ported = [(first + place, run) for place, run in enumerate(runs)]
    (folder / "runs.json").write_text(json.dumps(ported), encoding="utf-8")
    (folder / "in_turn.py").write_text(IN_TURN, encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    logs = ["--redirects=3", f"--log-dir={folder / 'logs'}"]
    files = [str(folder / "in_turn.py"), str(folder / "runs.json")]
    done = subprocess.run([*launcher, *logs, *files], env=environment, capture_output=True, text=True, timeout=300)
    said = "".join(path.read_text(encoding="utf-8")[-3000:] for path in folder.glob("logs/**/std*.log"))
    assert done.returncode == 0, said + done.stderr[-2000:]
    return folder


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def state(folder: Path) -> dict[str, torch.Tensor]:
    """Network, or objective with the teacher, at the end of a training."""
    content = torch.load(max(folder.glob("checkpoints/*.pt")), weights_only=True)
    return dict(content.get("objective") or content["network"])


@pytest.mark.usefixtures("one_thread")
def test_two_processes_end_with_the_weights_of_one(
    name: str, repository: Path, data: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors differ by less than a thousandth of the way that training took them, and by rounding."""
    monkeypatch.syspath_prepend(str(two))
    settings = {**small(name, data), "batch_size": 4, "output_dir": str(tmp_path), "workflow_type": "train"}
    made = ConfigWorkflow(**options(repository / "bundles" / name, ("train", "tiny"), **settings))
    made.initialize()
    trained = made.parser.get_parsed_content("network" if name == "ecamp_pretrain" else "objective")
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    made.run()
    made.finalize()
    ours, theirs = state(two / name), state(tmp_path)
    assert ours.keys() == theirs.keys() == before.keys()
    moved = 0
    for key, value in theirs.items():
        if value.is_floating_point():
            way, apart = (float((value - other[key]).abs().max()) for other in (before, ours))
            assert apart <= 0.001 * way + 2e-6, f"{key} is {apart} apart after a way of {way}"
            moved += way > 1e-4
        else:
            assert torch.equal(value, ours[key]), key
    assert moved > 10


def test_first_process_alone_writes_and_speaks(name: str, two: Path) -> None:
    for part in ("train", "validation"):
        assert len(list((two / name / "tensorboard" / part).glob("events*"))) <= (2 if name == "ecamp_pretrain" else 1)
    assert (two / name / "model.pt").is_file()
    first, second = (
        "".join(path.read_text(encoding="utf-8") for path in two.glob(f"logs/**/{rank}/std*.log")) for rank in (0, 1)
    )
    assert "validation" in first and "Engine run" in first
    assert "Engine run" not in second and "Epoch" not in second


@pytest.mark.parametrize("name", NAMES[3:], indirect=True)
def test_run_of_two_processes_packs_its_bundle(name: str, data: Path, two: Path) -> None:
    folder = two / name
    weights, packed = (
        torch.load(path, weights_only=True) for path in (folder / "model.pt", folder / "bundle" / "models" / "model.pt")
    )
    assert weights.keys() == packed.keys() and all(torch.equal(value, packed[key]) for key, value in weights.items())
    points, metadata, datalist = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (
            folder / "operating_points.json",
            folder / "bundle" / "configs" / "metadata.json",
            data / "datalist.json",
        )
    )
    assert metadata["operating_points"] == points
    assert points["samples"] == len(datalist["validation"]), "the halves of both processes"


@pytest.mark.parametrize("name", EVALUATED, indirect=True)
@pytest.mark.usefixtures("one_thread")
def test_two_processes_judge_as_one(name: str, repository: Path, data: Path, two: Path, tmp_path: Path) -> None:
    settings = {**small(name, data), "batch_size": 4, "output_dir": str(two / name), "workflow_type": "train"}
    overlays = ("train", "tiny", "evaluate")
    made = ConfigWorkflow(**options(repository / "bundles" / name, overlays, **settings, results=str(tmp_path)))
    made.initialize()
    made.run()
    made.finalize()
    ours, theirs = (
        dict(numbers(json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))))
        for folder in (two / name / "evaluation", tmp_path)
    )
    assert len(ours) > 10 and ours == pytest.approx(theirs, rel=1e-4, abs=1e-4, nan_ok=True)


def numbers(tree: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a nested result by its path."""
    if isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers(value, f"{prefix}/{key}")
    elif isinstance(tree, (int, float)):
        yield prefix, float(tree)
