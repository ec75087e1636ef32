# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where fine-tuning starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from radbundles.components.hub.load_start import load_start
from radbundles.networks import EncoderClassifier, build_encoder

ENCODER = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}


def network(classes: int, dim: int = 16) -> EncoderClassifier:
    return EncoderClassifier(build_encoder({**ENCODER, "dim": dim}, image_size=32), num_classes=classes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle for edema and effusion."""
    folder = tmp_path / "mine"
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    formats = {"outputs": {"pred": {"channel_def": {"0": "edema", "1": "effusion"}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "1.2.0", "network_data_format": formats}))
    torch.manual_seed(1)
    torch.save(network(2).state_dict(), folder / "models" / "model.pt")
    return folder


def same(found: dict[str, torch.Tensor], folder: Path, prefix: str = "") -> bool:
    saved = torch.load(folder / "models" / "model.pt", weights_only=True)
    return all(torch.equal(found[key], tensor) for key, tensor in saved.items() if key.startswith(prefix))


@pytest.mark.parametrize("classes", [["edema", "effusion"], None])
def test_the_same_classes_take_all_weights(bundle: Path, classes: Sequence[str] | None, tmp_path: Path) -> None:
    made = network(2)
    report = load_start(made, bundle, classes=classes, out=tmp_path / "run" / "start.json")
    assert same(made.state_dict(), bundle) and report["loaded"] == "all" and report["version"] == "1.2.0"
    assert json.loads((tmp_path / "run" / "start.json").read_text(encoding="utf-8")) == report


@pytest.mark.parametrize("classes", [["effusion", "edema"], ["edema"], ["edema", "effusion", "mass"]])
def test_other_classes_or_another_order_take_the_encoder_alone(bundle: Path, classes: list[str]) -> None:
    made = network(len(classes))
    head = made.head.weight.clone()
    report = load_start(made, bundle, classes=classes)
    assert same(made.state_dict(), bundle, "encoder.") and torch.equal(made.head.weight, head)
    assert report["loaded"] == "encoder" and report["classes_of_bundle"] == ["edema", "effusion"]


@pytest.mark.parametrize("classes", [["edema", "effusion"], ["edema"]])
def test_another_network_is_refused_and_left_as_it_was(bundle: Path, classes: list[str]) -> None:
    made = network(len(classes), dim=32)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with pytest.raises(ValueError, match="model.pt"):
        load_start(made, bundle, classes=classes)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_a_bundle_without_weights_and_no_bundle_at_all_are_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match="mine has no weights to start from"):
        load_start(network(2), bundle)
    with pytest.raises(FileNotFoundError, match="no bundle to start from in .*nowhere"):
        load_start(network(2), tmp_path / "nowhere")
