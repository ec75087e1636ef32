# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Official names of stage 2 are spelled out here on their own, at small sizes."""

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
from radbundles.networks import (
    DCXFM,
    CostAggregator,
    DCXFMDense,
    ImageTower,
    ResNetEncoder,
    TextTower,
    build_bert,
    convert_aggregator,
    convert_dcxfm_dense_checkpoint,
    load_dcxfm_dense,
    load_dcxfm_dense_checkpoint,
    save_dcxfm,
)

State = dict[str, torch.Tensor]
STAGE1 = "sem_seg_head.predictor.silc_model."
AGGREGATOR = "sem_seg_head.predictor.transformer."
WIDTHS = [4, 6, 8, 10]


def linear(prefix: str, rows: int, columns: int) -> State:
    return {f"{prefix}.weight": torch.rand(rows, columns), f"{prefix}.bias": torch.rand(rows)}


def convolution(prefix: str, rows: int, columns: int, side: int) -> State:
    return {f"{prefix}.weight": torch.rand(rows, columns, side, side), f"{prefix}.bias": torch.rand(rows)}


def norm(prefix: str, width: int) -> State:
    return {f"{prefix}.weight": torch.rand(width), f"{prefix}.bias": torch.rand(width)}


def aggregator_state(
    dim: int = 16, depth: int = 2, *, text: int = 0, appearance: int = 0, decoder: tuple[int, int] = (0, 0)
) -> State:
    """The official names for widths 32 and 16, two prompts; guidance of the given projected widths."""
    state = convolution("conv1", dim, 2, 7)
    for layer in range(depth):
        place = f"layers.{layer}."
        for block in ("swin_block.block_1.", "swin_block.block_2."):
            state |= norm(f"{place}{block}norm1", dim) | norm(f"{place}{block}norm2", dim)
            for name, columns in (("q", dim + appearance), ("k", dim + appearance), ("v", dim), ("proj", dim)):
                state |= linear(f"{place}{block}attn.{name}", dim, columns)
            state |= linear(f"{place}{block}mlp.fc1", 4 * dim, dim) | linear(f"{place}{block}mlp.fc2", dim, 4 * dim)
        for name, columns in (("q", dim + text), ("k", dim + text), ("v", dim)):
            state |= linear(f"{place}attention.attention.{name}", dim, columns)
        state |= linear(f"{place}attention.MLP.0", 4 * dim, dim) | linear(f"{place}attention.MLP.2", dim, 4 * dim)
        state |= norm(f"{place}attention.norm1", dim) | norm(f"{place}attention.norm2", dim)
        if appearance:
            state |= norm(f"{place}swin_block.guidance_norm", appearance)
    if text:
        state |= linear("text_guidance_projection.0", text, 8)
    if appearance:
        state |= convolution("guidance_projection.0", appearance, 40, 3)
    for number, (inputs, outputs, projected) in enumerate(((dim, 32, decoder[0]), (32, 16, decoder[1])), start=1):
        if projected:
            name = f"decoder_guidance_projection.{number - 1}.0"
            state |= convolution(name, projected, 4 * WIDTHS[3 - number], 3)
        state[f"decoder{number}.up.weight"] = torch.rand(inputs, inputs - projected, 2, 2)
        state[f"decoder{number}.up.bias"] = torch.rand(inputs - projected)
        for position, columns in ((0, inputs), (3, outputs)):
            state[f"decoder{number}.conv.double_conv.{position}.weight"] = torch.rand(outputs, columns, 3, 3)
            state |= norm(f"decoder{number}.conv.double_conv.{position + 1}", outputs)
    return state | convolution("head", 1, 16, 3)


def stage1_state() -> State:
    """Made from our own network: its official names have tests of their own."""
    towers = network().dcxfm
    names = {
        "image.encoder.": "img_encoder_student.",
        "image.projection.": "img_projection_student.",
        "text.encoder.": "text_encoder_student.",
        "text.projection.": "text_projection_student.",
    }
    state: State = {"center": torch.rand(1, 5), "img_encoder_student.fc.bias": torch.rand(5)}
    for key, value in towers.state_dict().items():
        ours = next(prefix for prefix in names if key.startswith(prefix))
        state[names[ours] + key.removeprefix(ours)] = torch.rand_like(value, dtype=torch.float32).to(value.dtype)
    return state


def network(**options: Any) -> DCXFMDense:
    image = ImageTower(ResNetEncoder(50, widths=WIDTHS, blocks=(1, 1, 1, 1)), dim=8)
    text = TextTower(build_bert(vocab_size=30, dim=12, layers=2, heads=2, ffn=16, max_length=20), dim=8)
    return DCXFMDense(DCXFM(image, text), CostAggregator(**{"dim": 16, "depth": 2, "prompt_channels": 2} | options))


@pytest.fixture
def official() -> State:
    torch.manual_seed(0)
    state = {STAGE1 + key: value for key, value in stage1_state().items()}
    state |= {AGGREGATOR + key: value for key, value in aggregator_state().items()}
    state |= {f"upsample{n}.{part}": torch.rand(3) for n in (1, 2) for part in ("weight", "bias")}
    return state


@pytest.fixture
def file(official: State, tmp_path: Path) -> Path:
    """As detectron2 writes it."""
    path = tmp_path / "model_0000199.pth"
    torch.save({"model": official, "iteration": 199}, path)
    return path


def test_both_halves_land_in_the_network(official: State, file: Path) -> None:
    model = network()
    report = load_dcxfm_dense_checkpoint(model, file)
    layer = f"{AGGREGATOR}layers.1."
    pairs = {
        "dcxfm.image.encoder.conv1.weight": f"{STAGE1}img_encoder_student.conv1.weight",
        "dcxfm.text.projection.bias": f"{STAGE1}text_projection_student.bias",
        "aggregator.embedding.weight": f"{AGGREGATOR}conv1.weight",
        "aggregator.layers.1.spatial.blocks.0.attn.q.weight": f"{layer}swin_block.block_1.attn.q.weight",
        "aggregator.layers.1.spatial.blocks.1.mlp.fc2.bias": f"{layer}swin_block.block_2.mlp.fc2.bias",
        "aggregator.layers.1.classes.k.weight": f"{layer}attention.attention.k.weight",
        "aggregator.layers.1.classes.norm2.weight": f"{layer}attention.norm2.weight",
        "aggregator.layers.1.classes.mlp.2.weight": f"{layer}attention.MLP.2.weight",
        "aggregator.decoder.step1.up.weight": f"{AGGREGATOR}decoder1.up.weight",
        "aggregator.decoder.step2.conv1.weight": f"{AGGREGATOR}decoder2.conv.double_conv.0.weight",
        "aggregator.decoder.step2.norm2.bias": f"{AGGREGATOR}decoder2.conv.double_conv.4.bias",
        "aggregator.decoder.head.bias": f"{AGGREGATOR}head.bias",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(model.state_dict()[ours], official[theirs]), theirs
    assert {entry["key"] for entry in report["keys"]} == set(official)
    renamed = [entry["to"] for entry in report["keys"] if entry["action"] == "renamed"]
    assert sorted(renamed) == sorted(model.state_dict())
    reasons = {entry["key"]: entry["reason"] for entry in report["keys"] if entry["action"] == "dropped"}
    assert set(reasons) == {key for key in official if "upsample" in key or key.endswith(("center", "fc.bias"))}
    assert "Q37" in reasons["upsample1.weight"] and report["source"]["name"] == "model_0000199.pth"


def test_names_and_shapes_of_the_full_size_checkpoint_are_known() -> None:
    """Entries and elements of the released code's stage-2 model, less those that nothing uses."""
    with torch.device("meta"):
        towers = DCXFM(ImageTower(ResNetEncoder(50)), TextTower(build_bert(vocab_size=30522)))
        state = DCXFMDense(towers, CostAggregator()).state_dict()
    # Left out of ours: four of up-sampling; of stage 1 the center, the teacher's encoder, projection and head, the
    # student's head and classifier, and the pooler.
    assert len(state) == 932 - 4 - 1 - (320 + 2 + 8) - 8 - 2 - 2


def test_converted_network_reads_its_sizes_off_the_tensors(official: State, file: Path, tmp_path: Path) -> None:
    state, report = convert_dcxfm_dense_checkpoint(file, text_heads=3)
    save_dcxfm(tmp_path / "out", state, report)
    loaded = load_dcxfm_dense(tmp_path / "out")
    assert not loaded.training and loaded.aggregator.layers[0].get_submodule("spatial.blocks.1.attn").window == 16
    expected = network()
    load_dcxfm_dense_checkpoint(expected, file)
    assert loaded.state_dict().keys() == expected.state_dict().keys()
    for key, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    built = ConfigParser(report["config"]).get_parsed_content("")
    assert isinstance(built, DCXFMDense)
    built.load_state_dict(state)


def test_guidance_and_windows_are_recognized(official: State) -> None:
    parts = aggregator_state(text=5, appearance=6, decoder=(4, 3))
    mask = {f"layers.{layer}.swin_block.block_2.attn_mask": torch.zeros(4, 64, 64) for layer in range(2)}
    kept = {key: value for key, value in official.items() if not key.startswith(AGGREGATOR)}
    state = kept | {AGGREGATOR + key: value for key, value in (parts | mask).items()}
    options: dict[str, Any] = {"text_heads": 2, "heads": 2, "pooling": (1, 2), "attention": "full"}
    converted, report = convert_dcxfm_dense_checkpoint(state, **options)
    config = report["config"]["aggregator"]
    assert (config["window"], config["heads"], config["pooling"], config["attention"]) == (8, 2, (1, 2), "full")
    assert (config["text_dim"], config["text_width"]) == (8, 5)
    assert (config["appearance_dim"], config["appearance_width"]) == (40, 6)
    assert (config["decoder_dims"], config["decoder_guidance_widths"]) == ([32, 24], [4, 3])
    built = ConfigParser(report["config"]).get_parsed_content("")
    assert isinstance(built, DCXFMDense)
    built.load_state_dict(converted)
    assert torch.equal(converted["aggregator.text_projection.bias"], parts["text_guidance_projection.0.bias"])
    first = parts["decoder_guidance_projection.0.0.weight"]
    assert torch.equal(converted["aggregator.guidance_projections.1.weight"], first)
    assert sum("attn_mask" in entry["key"] and entry["action"] == "dropped" for entry in report["keys"]) == 2


def test_aggregator_alone_converts() -> None:
    state = aggregator_state(text=5, appearance=6, decoder=(4, 3))
    mask = {"layers.0.swin_block.block_2.attn_mask": torch.zeros(4, 64, 64)}
    guidance: dict[str, Any] = {"appearance_dim": 40, "appearance_width": 6, "decoder_dims": (32, 24)}
    guidance |= {"decoder_guidance_widths": (4, 3), "text_dim": 8, "text_width": 5}
    CostAggregator(dim=16, depth=2, prompt_channels=2, **guidance).load_state_dict(convert_aggregator(state | mask))
    with pytest.raises(ValueError, match="unknown key 'conv2.weight'"):
        convert_aggregator({"conv2.weight": torch.rand(1)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sd: sd.update({AGGREGATOR + "padding": torch.zeros(3)}), r"unknown key .*transformer.padding' \(3,\)"),
        (lambda sd: sd.update({STAGE1 + "queue": torch.zeros(3)}), "unknown key .*silc_model.queue'"),
        (lambda sd: sd.update({"backbone.weight": torch.zeros(3)}), "unknown key 'backbone.weight'"),
        (lambda sd: sd.update({AGGREGATOR + "conv1.bias": torch.zeros(3)}), r"shape \(3,\), \(16,\) is needed"),
        (lambda sd: sd.pop(AGGREGATOR + "head.bias"), r"first \['aggregator.decoder.head.bias"),
        (
            lambda sd: sd.pop(AGGREGATOR + "conv1.weight"),
            "'sem_seg_head.predictor.transformer.conv1.weight' is missing",
        ),
    ],
)
def test_fault_is_named(official: State, spoil: Callable[[State], Any], message: str) -> None:
    spoil(official)
    with pytest.raises(ValueError, match=message):
        convert_dcxfm_dense_checkpoint(official, text_heads=2)


def test_command_recognizes_the_stage(official: State, file: Path, tmp_path: Path) -> None:
    import radbundles.cli.convert_command  # noqa: F401

    arguments = ["convert", str(file), "--out", str(tmp_path / "out"), "--text-heads", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"DCXFM with masks, {len(official)} keys" in result.output
    loaded = load_dcxfm_dense(tmp_path / "out")
    assert torch.equal(loaded.state_dict()["aggregator.embedding.bias"], official[f"{AGGREGATOR}conv1.bias"])
    report = json.loads((tmp_path / "out" / "conversion_report.json").read_text())
    assert len(report["keys"]) == len(official)
