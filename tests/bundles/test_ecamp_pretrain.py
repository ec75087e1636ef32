# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import math
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
Make = Callable[..., ConfigWorkflow]
KilledAndWhole = Callable[..., tuple[Settings, Settings]]
AssertEqual = Callable[[Any, Any], None]


@pytest.mark.parametrize(
    "configs", [("train",), ("train", "tiny"), ("train", "official"), ("train", "tiny", "official")]
)
def test_dry_run_trains_two_steps_and_saves(
    bundle: Path, prepared: Path, tmp_path: Path, small: Settings, configs: tuple[str, ...], workflow: Make
) -> None:
    made = workflow(*configs, dataset_dir=str(prepared), output_dir=str(tmp_path), **small)
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
    prepared: Path, small: Settings, command: Command, killed_and_whole: KilledAndWhole, assert_equal: AssertEqual
) -> None:
    """SIGKILL in the middle, the same command again: bit-identical weights on the CPU."""

    def train(folder: Path) -> list[str]:
        settings = {**small, "epochs": 12, "schedule_epochs": 12, "checkpoint_every": 1, "val_interval": 4}
        return command("train", "tiny", dataset_dir=str(prepared), output_dir=str(folder), **settings)

    killed, whole = killed_and_whole(train, epochs=12)
    for part in ("network", "optimizer"):
        assert_equal(killed[part], whole[part])


def test_evaluation_judges_saved_weights(
    bundle: Path, prepared: Path, tmp_path: Path, small: Settings, workflow: Make
) -> None:
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    workflow("train", "tiny", **settings).run()
    weights = tmp_path / "model.pt"
    workflow("train", "tiny", "evaluate", weights=str(weights), **settings).run()
    first = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert first["reconstruction_psnr"] > 0 and 0 <= first["token_accuracy"] <= 1
    state = torch.load(weights, weights_only=True)
    torch.save({k: torch.zeros_like(v) for k, v in state.items()}, weights)
    workflow("train", "tiny", "evaluate", weights=str(weights), **settings).run()
    assert json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) != first


def test_inference_writes_heat_maps_and_features(
    bundle: Path, prepared: Path, tmp_path: Path, small: Settings, workflow: Make
) -> None:
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    workflow("train", "tiny", **settings).run()
    sizes = {k: v for k, v in settings.items() if k.startswith("network_def") or k in ("image_size", "batch_size")}
    made = workflow(
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
