# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Official names are spelled out here on their own, at small sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from typer.testing import CliRunner

from radbundles.cli.app import app
from radbundles.losses import DCXFMObjective, SelfDistillationLoss
from radbundles.networks import (
    DCXFM,
    DINOHead,
    ImageTower,
    ResNetEncoder,
    TextTower,
    build_bert,
    convert_dcxfm_checkpoint,
    load_dcxfm,
    load_dcxfm_checkpoint,
    save_dcxfm,
)

State = dict[str, torch.Tensor]
WIDTHS = [4, 6, 8, 10]


def norm(prefix: str, width: int) -> State:
    values = {name: torch.rand(width) for name in ("weight", "bias", "running_mean", "running_var")}
    return {f"{prefix}.{name}": value for name, value in values.items()} | {
        f"{prefix}.num_batches_tracked": torch.tensor(7)
    }


def resnet(prefix: str) -> State:
    """One bottleneck a stage and the classifier."""
    state: State = {f"{prefix}conv1.weight": torch.rand(4, 3, 7, 7), **norm(f"{prefix}bn1", 4)}
    inputs = 4
    for stage, width in enumerate(WIDTHS, start=1):
        place = f"{prefix}layer{stage}.0."
        shapes = {"conv1": (width, inputs, 1), "conv2": (width, width, 3), "conv3": (4 * width, width, 1)}
        for number, (name, (rows, columns, side)) in enumerate(shapes.items(), start=1):
            state[f"{place}{name}.weight"] = torch.rand(rows, columns, side, side)
            state |= norm(f"{place}bn{number}", rows)
        state[f"{place}downsample.0.weight"] = torch.rand(4 * width, inputs, 1, 1)
        state |= norm(f"{place}downsample.1", 4 * width)
        inputs = 4 * width
    return state | {f"{prefix}fc.weight": torch.rand(5, 40), f"{prefix}fc.bias": torch.rand(5)}


def linear(prefix: str, rows: int, columns: int) -> State:
    return {f"{prefix}.weight": torch.rand(rows, columns), f"{prefix}.bias": torch.rand(rows)}


def bert(prefix: str) -> State:
    state: State = {}
    for name, rows in (("word", 30), ("position", 20), ("token_type", 2)):
        state[f"{prefix}embeddings.{name}_embeddings.weight"] = torch.rand(rows, 12)
    norms = ["embeddings.LayerNorm"]
    for layer in range(2):
        place = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            state |= linear(f"{prefix}{place}attention.self.{part}", 12, 12)
        state |= linear(f"{prefix}{place}attention.output.dense", 12, 12)
        state |= linear(f"{prefix}{place}intermediate.dense", 16, 12)
        state |= linear(f"{prefix}{place}output.dense", 12, 16)
        norms += [f"{place}attention.output.LayerNorm", f"{place}output.LayerNorm"]
    for name in norms:
        state |= {f"{prefix}{name}.weight": torch.rand(12), f"{prefix}{name}.bias": torch.rand(12)}
    return state | linear(f"{prefix}pooler.dense", 12, 12)


def head(prefix: str) -> State:
    state = linear(f"{prefix}mlp.0", 9, 8) | linear(f"{prefix}mlp.2", 6, 9)
    for layer in ("last_layer", "last_layer2"):
        state |= {f"{prefix}{layer}.weight_g": torch.ones(5, 1), f"{prefix}{layer}.weight_v": torch.rand(5, 6)}
    return state


@pytest.fixture
def official() -> State:
    torch.manual_seed(0)
    state: State = {"center": torch.rand(1, 5)}
    for role, letter in (("student", "s"), ("teacher", "t")):
        state |= resnet(f"img_encoder_{role}.") | linear(f"img_projection_{role}", 8, 40) | head(f"ibot_head_{letter}.")
    return state | bert("text_encoder_student.") | linear("text_projection_student", 8, 12)


@pytest.fixture
def file(official: State, tmp_path: Path) -> Path:
    """As Lightning writes it."""
    path = tmp_path / "sdmp.ckpt"
    torch.save({"state_dict": official, "epoch": 8, "hyper_parameters": {"lr": 2e-5}}, path)
    return path


def network() -> DCXFM:
    image = ImageTower(ResNetEncoder(50, widths=WIDTHS, blocks=(1, 1, 1, 1)), dim=8)
    return DCXFM(image, TextTower(build_bert(vocab_size=30, dim=12, layers=2, heads=2, ffn=16, max_length=20), dim=8))


def small_head() -> DINOHead:
    return DINOHead(in_dim=8, hidden_dim=9, bottleneck_dim=6, out_dim=5)


def test_student_lands_in_the_network(official: State, file: Path) -> None:
    model = network()
    report = load_dcxfm_checkpoint(model, file)
    pairs = {
        "image.encoder.conv1.weight": "img_encoder_student.conv1.weight",
        "image.encoder.layer4.0.downsample.1.running_var": "img_encoder_student.layer4.0.downsample.1.running_var",
        "image.projection.bias": "img_projection_student.bias",
        "text.encoder.embeddings.word_embeddings.weight": "text_encoder_student.embeddings.word_embeddings.weight",
        "text.encoder.encoder.layer.1.output.dense.weight": "text_encoder_student.encoder.layer.1.output.dense.weight",
        "text.projection.weight": "text_projection_student.weight",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(model.state_dict()[ours], official[theirs]), theirs
    assert {entry["key"] for entry in report["keys"]} == set(official)
    renamed = [entry["to"] for entry in report["keys"] if entry["action"] == "renamed"]
    assert sorted(renamed) == sorted(model.state_dict())
    reasons = {entry["key"]: entry["reason"] for entry in report["keys"] if entry["action"] == "dropped"}
    assert reasons["img_encoder_teacher.conv1.weight"] == "part of the training, not of the network"
    assert (
        "classifier" in reasons["img_encoder_teacher.fc.bias"] and "Q37" in reasons["ibot_head_s.last_layer2.weight_v"]
    )
    assert report["source"]["name"] == "sdmp.ckpt" and len(report["source"]["sha256"]) == 64


def test_teacher_heads_and_center_land_in_the_objective(official: State, file: Path) -> None:
    objective = DCXFMObjective(network(), head=small_head(), distillation=SelfDistillationLoss(dim=5))
    report = load_dcxfm_checkpoint(objective, file)
    pairs = {
        "distillation.center": "center",
        "teacher.image.encoder.layer1.0.bn3.running_mean": "img_encoder_teacher.layer1.0.bn3.running_mean",
        "teacher.image.projection.weight": "img_projection_teacher.weight",
        "teacher.head.mlp.2.weight": "ibot_head_t.mlp.2.weight",
        "head.mlp.0.bias": "ibot_head_s.mlp.0.bias",
        "network.image.encoder.conv1.weight": "img_encoder_student.conv1.weight",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(objective.state_dict()[ours], official[theirs]), theirs
    rows = official["ibot_head_t.last_layer.weight_v"]
    last: Any = objective.get_submodule("teacher.head.last_layer")
    torch.testing.assert_close(last.weight, rows / rows.norm(dim=1, keepdim=True))
    dropped = {entry["key"] for entry in report["keys"] if entry["action"] == "dropped"}
    assert dropped == {key for key in official if any(part in key for part in (".fc.", "last_layer2", "pooler"))}


def test_names_and_shapes_of_the_full_size_checkpoint_are_known() -> None:
    """Entries and elements of the released code's model, position_ids aside."""
    with torch.device("meta"):
        objective = DCXFMObjective(
            DCXFM(ImageTower(ResNetEncoder(50)), TextTower(build_bert(vocab_size=30522))), head=DINOHead()
        )
    state = objective.state_dict()
    # Left out of ours: two classifiers (2 entries each), two unused last layers (2 each), one pooler (2).
    assert len(state) == 862 - 10
    ours = sum(p.numel() for p in objective.parameters())
    left_out = 2 * (1000 * 2048 + 1000) + 2 * (128 + 128 * 256) + 768 * 768 + 768
    assert round((ours + left_out) / 1e6, 2) == 162.93


def test_converted_network_reads_its_sizes_off_the_tensors(file: Path, tmp_path: Path) -> None:
    state, report = convert_dcxfm_checkpoint(file, text_heads=3)
    save_dcxfm(tmp_path / "out", state, report)
    loaded = load_dcxfm(tmp_path / "out")
    expected = network()
    load_dcxfm_checkpoint(expected, file)
    bert_config: Any = loaded.text.encoder.config
    assert not loaded.training and bert_config.num_attention_heads == 3
    for key, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    built = ConfigParser(report["config"]).get_parsed_content("")
    assert isinstance(built, DCXFM)
    built.load_state_dict(state)


def test_stacks_of_basic_blocks_are_recognized(official: State) -> None:
    model = ResNetEncoder(34, widths=WIDTHS, blocks=(2, 1, 1, 1))
    state = {key: value for key, value in official.items() if not key.startswith(("img_encoder", "img_projection"))}
    state |= {f"img_encoder_student.{key}": value for key, value in model.state_dict().items()}
    state |= linear("img_projection_student", 8, 10)
    config = convert_dcxfm_checkpoint(state, text_heads=2)[1]["config"]["image"]["encoder"]
    assert config["depth"] == 18 and config["blocks"] == [2, 1, 1, 1] and config["widths"] == WIDTHS


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sd: sd.update({"img_encoder_student.layer5.weight": torch.zeros(3)}), r"unknown key .*layer5.weight'"),
        (lambda sd: sd.update({"queue": torch.zeros(3)}), "unknown key 'queue'"),
        (lambda sd: sd.update({"text_projection_student.bias": torch.zeros(3)}), r"shape \(3,\), \(8,\) is needed"),
        (lambda sd: sd.pop("img_encoder_student.bn1.bias"), r"1 tensors are missing, first \['image.encoder.bn1.bias"),
        (lambda sd: sd.update({"img_projection_student.weight": 3}), "holds a int, not a tensor"),
        (lambda sd: sd.pop("img_projection_student.weight"), "'img_projection_student.weight' is missing"),
    ],
)
def test_fault_is_named(official: State, spoil: Callable[[State], Any], message: str) -> None:
    spoil(official)
    with pytest.raises(ValueError, match=message):
        convert_dcxfm_checkpoint(official, text_heads=2)


def test_network_is_untouched_if_a_key_does_not_fit(official: State, tmp_path: Path) -> None:
    official["text_projection_student.bias"] = torch.zeros(3)
    torch.save(official, tmp_path / "bare.pt")
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="text_projection_student.bias"):
        load_dcxfm_checkpoint(model, tmp_path / "bare.pt")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_loader_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="config.json not found"):
        load_dcxfm(tmp_path)


def test_command_recognizes_the_method(official: State, file: Path, tmp_path: Path) -> None:
    import radbundles.cli.convert_command  # noqa: F401

    arguments = ["convert", str(file), "--out", str(tmp_path / "out"), "--text-heads", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"DCXFM, {len(official)} keys" in result.output
    assert "part of the training, not of the network" in result.output
    loaded = load_dcxfm(tmp_path / "out")
    assert torch.equal(loaded.image.projection.bias, official["img_projection_student.bias"])
    report = json.loads((tmp_path / "out" / "conversion_report.json").read_text())
    assert len(report["keys"]) == len(official)


def test_command_tells_what_is_wrong_and_writes_nothing(official: State, tmp_path: Path) -> None:
    import radbundles.cli.convert_command  # noqa: F401

    del official["img_encoder_student.bn1.bias"]
    torch.save(official, tmp_path / "bare.pt")
    arguments = ["convert", str(tmp_path / "bare.pt"), "--out", str(tmp_path / "out"), "--text-heads", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and not (tmp_path / "out").exists()
