# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

Command = Callable[..., list[str]]
Run = Callable[[list[str]], None]
Settings = dict[str, Any]


def workflow(bundle: Path, *configs: str, kind: str = "train", **overrides: Any) -> ConfigWorkflow:
    files = [str(bundle / "configs" / f"{name}.json") for name in configs]
    made = ConfigWorkflow(
        config_file=files,
        meta_file=str(bundle / "configs" / "metadata.json"),
        workflow_type=kind,
        bundle_root=str(bundle),
        **overrides,
    )
    made.initialize()
    return made


@pytest.mark.parametrize(
    "configs", [("train",), ("train", "tiny"), ("train", "official"), ("train", "tiny", "official")]
)
def test_dry_run_trains_two_steps_and_saves(
    bundle: Path, prepared: Path, tmp_path: Path, small: Settings, configs: tuple[str, ...]
) -> None:
    made = workflow(bundle, *configs, dataset_dir=str(prepared), output_dir=str(tmp_path), **small)
    assert made.check_properties() == []
    made.run()
    trainer = made.parser.get_parsed_content("train#trainer")
    assert trainer.state.iteration >= 2
    metrics = made.parser.get_parsed_content("validate#evaluator").state.metrics
    assert all(math.isfinite(metrics[name]) for name in ("loss", "mim", "sr", "mlm", "reconstruction_psnr"))
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert set(weights) == set(made.parser.get_parsed_content("network").state_dict())
    assert list((tmp_path / "tensorboard").iterdir())


def test_paper_recipe_has_the_paper_sizes(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    assert (config["epochs"], config["schedule_epochs"], config["warmup_epochs"]) == (120, 200, 40)
    assert config["learning_rate"] == 1.5e-4
    assert config["optimizer"]["betas"] == [0.9, 0.95]
    sizes = config["network_def"]
    assert [sizes[k] for k in ("dim", "depth", "heads", "decoder_dim", "decoder_depth", "decoder_heads")] == [
        *(768, 12, 12),
        *(512, 4, 16),
    ]


def test_metadata_is_valid(bundle: Path, repository: Path) -> None:
    schema = repository / "components" / "hub" / "metadata.schema.json"
    meta = str(bundle / "configs" / "metadata.json")
    verify_metadata(meta_file=meta, filepath=str(schema), hash_val=hashlib.md5(schema.read_bytes()).hexdigest())


def test_changelog_knows_the_version(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["version"] in metadata["changelog"]


def test_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    prepared: Path, tmp_path: Path, small: Settings, command: Command, run: Run, environment: dict[str, str]
) -> None:
    """SIGKILL in the middle, the same command again: bit-identical weights on the CPU."""

    def train(folder: Path) -> list[str]:
        settings = {**small, "epochs": 12, "schedule_epochs": 12, "checkpoint_every": 1, "val_interval": 4}
        return command("train", "tiny", dataset_dir=str(prepared), output_dir=str(folder), **settings)

    victim = subprocess.Popen(
        train(tmp_path / "killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "killed").glob("checkpoints/checkpoint_*.pt"))) < 2:
        assert victim.poll() is None and time.monotonic() < deadline, "no checkpoint was written in time"
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not final_checkpoint(tmp_path / "killed", 12), "the run was over before it was killed"
    run(train(tmp_path / "killed"))
    run(train(tmp_path / "whole"))
    killed, whole = (final_checkpoint(tmp_path / name, 12) for name in ("killed", "whole"))
    assert killed and whole
    for part in ("network", "optimizer"):
        assert flat(killed[part]).keys() == flat(whole[part]).keys()
        assert all(torch.equal(a, flat(whole[part])[k]) for k, a in flat(killed[part]).items())


def final_checkpoint(folder: Path, epochs: int) -> dict[str, Any] | None:
    """The checkpoint of the last iteration, or None if training has not come that far."""
    newest = max(folder.glob("checkpoints/checkpoint_*.pt"), default=None)
    state = torch.load(newest, weights_only=True) if newest else None
    if state is None or state["trainer"]["iteration"] < epochs * state["trainer"]["epoch_length"]:
        return None
    return dict(state)


def flat(tree: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested state by its path."""
    if isinstance(tree, torch.Tensor):
        return {prefix: tree}
    if isinstance(tree, dict):
        return {k: v for name, item in tree.items() for k, v in flat(item, f"{prefix}/{name}").items()}
    return {}


def test_evaluation_judges_saved_weights(bundle: Path, prepared: Path, tmp_path: Path, small: Settings) -> None:
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    workflow(bundle, "train", "tiny", **settings).run()
    weights = tmp_path / "model.pt"
    workflow(bundle, "train", "tiny", "evaluate", weights=str(weights), **settings).run()
    first = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert first["reconstruction_psnr"] > 0 and 0 <= first["token_accuracy"] <= 1
    state = torch.load(weights, weights_only=True)
    torch.save({k: torch.zeros_like(v) for k, v in state.items()}, weights)
    workflow(bundle, "train", "tiny", "evaluate", weights=str(weights), **settings).run()
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) != first


def test_two_processes_train_on_gloo(
    prepared: Path, tmp_path: Path, small: Settings, command: Command, run: Run
) -> None:
    settings = {**small, "batch_size": 2}
    made = command("train", "tiny", "multi_gpu_train", dataset_dir=str(prepared), output_dir=str(tmp_path), **settings)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    run([*launcher, *made[1:]])
    assert (tmp_path / "model.pt").is_file()


def test_inference_writes_heat_maps_and_features(bundle: Path, prepared: Path, tmp_path: Path, small: Settings) -> None:
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    workflow(bundle, "train", "tiny", **settings).run()
    sizes = {k: v for k, v in settings.items() if k.startswith("network_def") or k in ("image_size", "batch_size")}
    made = workflow(
        bundle,
        "inference",
        "tiny",
        kind="inference",
        weights=str(tmp_path / "model.pt"),
        output_dir=str(tmp_path / "maps"),
        dataset_dir=str(prepared / "images"),
        tokenizer=str(prepared / "tokenizer.json"),
        num_workers=0,
        **sizes,
    )
    assert made.check_properties() == []
    made.run()
    files = list((tmp_path / "maps").glob("*.npz"))
    assert len(files) == len(list((prepared / "images").iterdir()))
    with np.load(files[0]) as content:
        assert content["features"].shape == (16,)
        assert content["attention"].shape == (44, 4, 4) and len(content["entities"]) == 44
        np.testing.assert_allclose(content["attention"].sum((1, 2)), 1, rtol=1e-5)


def test_inference_network_fits_its_metadata(bundle: Path, prepared: Path, small: Settings) -> None:
    sizes = {k: v for k, v in small.items() if k.startswith("network_def") and "patch" not in k}
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        tokenizer=str(prepared / "tokenizer.json"),
        **sizes,
    )
