# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A small prepared data folder, and the settings that make any config of ecamp_pretrain a matter of seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
