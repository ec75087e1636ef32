# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A small prepared data folder, and the settings that make any config of ecamp_pretrain a matter of seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.distillation import RuleDistiller, distill_datalist
from radbundles.components.phantom import write_phantoms

SMALL: dict[str, Any] = {
    "image_size": 64,
    "epochs": 1,
    "schedule_epochs": 4,
    "warmup_epochs": 1,
    "batch_size": 4,
    "num_workers": 0,
    "val_interval": 1,
    "network_def#patch_size": 8,
    "network_def#dim": 16,
    "network_def#depth": 1,
    "network_def#heads": 2,
    "network_def#decoder_dim": 16,
    "network_def#decoder_depth": 1,
    "network_def#decoder_heads": 2,
    "network_def#text_dim": 16,
    "network_def#text_layers": 1,
    "network_def#text_heads": 2,
    "network_def#text_ffn": 32,
}


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "ecamp_pretrain"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with datalist.json, distilled.jsonl and tokenizer.json of phantoms."""
    folder = tmp_path_factory.mktemp("prepared")
    datalist = write_phantoms(folder, count=20, seed=3, size=96)
    distill_datalist(datalist, folder / "distilled.jsonl", RuleDistiller("chest"))
    train_tokenizer(
        ReportCorpus(datalist, distilled=folder / "distilled.jsonl"), vocab_size=500, out=folder / "tokenizer.json"
    )
    return folder


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of phantoms in which every section has both outcomes of two labels, all grades, masks and boxes."""
    folder = tmp_path_factory.mktemp("annotated")
    datalist = write_phantoms(folder, count=24, seed=3, size=96, splits=(0.5, 0.25, 0.25))
    content = json.loads(datalist.read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        for place, item in enumerate(content[section]):
            item["labels"] = {"calcified": place % 2, "rotated": place // 2 % 2 if place != 5 else -1}
            item["labels"] |= {f"grade {grade}": int(place % 3 == grade) for grade in range(3)}
    content["label_names"] = list(content["training"][0]["labels"])
    datalist.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def command(bundle: Path) -> Callable[..., list[str]]:
    """Make the documented command line for some configs and overrides."""

    def make(*configs: str, **overrides: Any) -> list[str]:
        files = [str(bundle / "configs" / f"{name}.json") for name in configs]
        args = ["-m", "monai.bundle", "run", "--config_file", str(files), "--bundle_root", str(bundle)]
        for key, value in overrides.items():
            args += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
        return [sys.executable, *args]

    return make


@pytest.fixture
def small() -> dict[str, Any]:
    """Overrides that make any training config small."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment of the commands that the tests start: one thread, and MONAI's known warnings silenced."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[[list[str]], None]:
    """Run a command to its end, and show what it said if it failed."""

    def start(command: list[str]) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]

    return start


@pytest.fixture
def workflow(bundle: Path) -> Callable[..., ConfigWorkflow]:
    """Make the initialized workflow of some configs and overrides in this process."""

    def make(*configs: str, kind: str = "train", **overrides: Any) -> ConfigWorkflow:
        made = ConfigWorkflow(
            config_file=[str(bundle / "configs" / f"{name}.json") for name in configs],
            meta_file=str(bundle / "configs" / "metadata.json"),
            workflow_type=kind,
            bundle_root=str(bundle),
            **overrides,
        )
        made.initialize()
        return made

    return make


@pytest.fixture
def killed_and_whole(
    tmp_path: Path, run: Callable[[list[str]], None], environment: dict[str, str]
) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
    """Last checkpoints of a training that was killed and started again, and of one that was left alone.

    ``again`` trains into a folder to the end; by default it runs the command.
    """

    def train_both(
        train: Callable[[Path], list[str]], *, epochs: int, again: Callable[[Path], None] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        to_the_end = again or (lambda folder: run(train(folder)))
        victim = subprocess.Popen(
            train(tmp_path / "killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "killed").glob("checkpoints/checkpoint_*.pt"))) < 2:
            assert victim.poll() is None and time.monotonic() < deadline, "no checkpoint was written in time"
            time.sleep(0.005)
        victim.send_signal(signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL
        assert not final_checkpoint(tmp_path / "killed", epochs), "the run was over before it was killed"
        to_the_end(tmp_path / "killed")
        to_the_end(tmp_path / "whole")
        killed, whole = (final_checkpoint(tmp_path / name, epochs) for name in ("killed", "whole"))
        assert killed and whole
        return killed, whole

    return train_both


def final_checkpoint(folder: Path, epochs: int) -> dict[str, Any] | None:
    """The checkpoint of the last iteration, or None if training has not come that far."""
    newest = max(folder.glob("checkpoints/checkpoint_*.pt"), default=None)
    state = torch.load(newest, weights_only=True) if newest else None
    if state is None or state["trainer"]["iteration"] < epochs * state["trainer"]["epoch_length"]:
        return None
    return dict(state)


@pytest.fixture
def assert_equal() -> Callable[[Any, Any], None]:
    """Compare all tensors of two nested states, bit by bit."""

    def compare(first: Any, second: Any) -> None:
        tensors, others = flat(first), flat(second)
        assert tensors and tensors.keys() == others.keys()
        assert all(torch.equal(value, others[key]) for key, value in tensors.items())

    return compare


def flat(tree: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested state by its path."""
    if isinstance(tree, torch.Tensor):
        return {prefix: tree}
    if isinstance(tree, dict):
        return {k: v for name, item in tree.items() for k, v in flat(item, f"{prefix}/{name}").items()}
    return {}
