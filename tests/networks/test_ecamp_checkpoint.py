# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from radbundles.cli.app import app
from radbundles.networks import ECAMP, convert_ecamp_checkpoint, load_ecamp, save_ecamp
from radbundles.networks.ecamp_checkpoint import rename_ecamp_key

State = dict[str, torch.Tensor]
BERT = "bert_encoder.model.bert."
HEAD = "bert_encoder.model.cls.predictions."
HEADS = {"heads": 3, "decoder_heads": 2, "text_heads": 5}

# Names of the official checkpoint, spelled out here on their own: {ours: official}.
OFFICIAL = {
    "encoder.": "",
    "decoder.mask_token": "mask_token",
    "decoder.": "decoder_",
    "super_resolution.": "super_res.",
    "visual_projection.": "bert_mlp.",
    "text.fusion.cross_attention.": BERT + "context_fusion_layer.cross_self_attention.",
    "text.fusion.global_projection.": BERT + "context_fusion_layer.gap_mlp.",
    "text.fusion.merge.": BERT + "context_fusion_layer.out_layer.",
    "text.fusion.": BERT + "context_fusion_layer.",
    "text.": BERT,
    "head.": HEAD,
}


def to_official(state: State) -> State:
    official: State = {}
    for key, tensor in state.items():
        ours = max((prefix for prefix in OFFICIAL if key.startswith(prefix)), key=len)
        official[OFFICIAL[ours] + key.removeprefix(ours)] = tensor
    width = official[BERT + "embeddings.LayerNorm.weight"].numel()
    official[BERT + "pooler.dense.weight"] = torch.zeros(width, width, device=next(iter(state.values())).device)
    official[BERT + "pooler.dense.bias"] = torch.zeros(width, device=next(iter(state.values())).device)
    official[HEAD + "bias"] = official[HEAD + "decoder.bias"]
    return official


@pytest.fixture
def official(network: ECAMP) -> State:
    return to_official(network.state_dict())


def test_converted_network_is_the_same_network(network: ECAMP, official: State, tmp_path: Path) -> None:
    state, report = convert_ecamp_checkpoint(official, **HEADS)
    save_ecamp(tmp_path, state, report)
    loaded = load_ecamp(tmp_path)
    assert not loaded.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key


def test_sizes_are_read_off_the_tensors(official: State, tiny: dict[str, Any]) -> None:
    config = convert_ecamp_checkpoint(official, **HEADS)[1]["config"]
    expected = {**tiny, "patch_size": 16, "mlp_ratio": 4.0, "sr_final_relu": True, "position_table": "mae"}
    assert config == expected


def test_every_key_of_the_full_size_checkpoint_is_accounted_for() -> None:
    with torch.device("meta"):
        official = to_official(ECAMP().state_dict())
    assert len(official) == 350
    assert sum(tensor.numel() for tensor in official.values()) == 183_455_240
    assert official["blocks.11.attn.qkv.weight"].shape == (2304, 768)
    assert official[BERT + "encoder.layer.5.intermediate.dense.weight"].shape == (1536, 768)
    assert official["decoder_blocks.3.mlp.fc2.weight"].shape == (512, 2048)
    renamed = {key: rename_ecamp_key(key) for key in official}
    dropped = sorted(key for key, ours in renamed.items() if ours is None)
    assert dropped == [BERT + "pooler.dense.bias", BERT + "pooler.dense.weight", HEAD + "bias"]
    assert len(set(renamed.values()) - {None}) == 347


def test_report_has_one_entry_per_key_with_what_became_of_it(official: State) -> None:
    state, report = convert_ecamp_checkpoint(official, **HEADS)
    entries = {entry["key"]: entry for entry in report["keys"]}
    assert set(entries) == set(official)
    assert {entry["to"] for entry in report["keys"] if entry["action"] == "renamed"} == set(state)
    assert all(entry["reason"] for entry in report["keys"] if entry["action"] == "dropped")
    assert report["counts"]["official_keys"] == len(official)
    assert report["position_tables"] == {"encoder": "mae", "decoder": "mae"}


def test_training_file_with_namespace_prefixes_and_old_names_is_read(official: State, tmp_path: Path) -> None:
    """The layout of the released file."""
    old = {key.replace("context_fusion_layer", "cross_attn_layer"): tensor for key, tensor in official.items()}
    old[BERT + "embeddings.position_ids"] = torch.arange(24)[None]
    content = {
        "model": {f"module.{key}": tensor for key, tensor in old.items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1.5e-4}]},
        "epoch": 110,
        "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(batch_size=256, lr=1.5e-4, output_dir="./output"),
    }
    torch.save(content, tmp_path / "released.pth")
    state, report = convert_ecamp_checkpoint(tmp_path / "released.pth", **HEADS)
    expected, _ = convert_ecamp_checkpoint(official, **HEADS)
    assert all(torch.equal(state[key], expected[key]) for key in expected) and len(state) == len(expected)
    spelled = {entry["key"] for entry in report["keys"]}
    assert f"module.{BERT}cross_attn_layer.gap_mlp.weight" in spelled
    assert report["source"]["name"] == "released.pth" and len(report["source"]["sha256"]) == 64


def test_file_that_needs_code_to_be_read_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}, "args": Path("x"), "evil": print}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="evil.pth cannot be read"):
        convert_ecamp_checkpoint(tmp_path / "evil.pth")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sd: sd.update({"blocks.0.attn.extra": torch.zeros(3)}), r"unknown key 'blocks.0.attn.extra' \(3,\)"),
        (lambda sd: sd.update({"momentum": torch.zeros(3)}), "unknown key 'momentum'"),
        (lambda sd: sd.pop("super_res.conv2.bias"), r"1 keys are missing, first \['super_res.conv2.bias'\]"),
        (lambda sd: sd.pop(HEAD + "decoder.bias"), "decoder.bias"),
        (lambda sd: sd.pop("patch_embed.proj.weight"), "'patch_embed.proj.weight' is missing"),
        (
            lambda sd: sd.update({"blocks.1.mlp.fc1.bias": torch.zeros(5)}),
            r"'blocks.1.mlp.fc1.bias' has the shape \(5,\), \(96,\) is needed",
        ),
        (lambda sd: sd.update({"mask_token": torch.zeros(16)}), "'mask_token' has the shape"),
        (lambda sd: sd.update({HEAD + "bias": torch.ones(50)}), "differ but are one parameter"),
        (
            lambda sd: sd.update({BERT + "cross_attn_layer.gap_mlp.bias": torch.zeros(20)}),
            "are the same parameter",
        ),
        (lambda sd: sd.update({"epoch": 3}), "'epoch' holds a int"),
        (lambda sd: sd.clear(), "is missing"),
    ],
)
def test_fault_is_named(official: State, spoil: Callable[[State], Any], message: str) -> None:
    spoil(official)
    with pytest.raises(ValueError, match=message):
        convert_ecamp_checkpoint(official, **HEADS)


def test_loader_refuses_a_missing_tensor(official: State, tmp_path: Path) -> None:
    state, report = convert_ecamp_checkpoint(official, **HEADS)
    del state["super_resolution.conv1.bias"]
    save_ecamp(tmp_path, state, report)
    with pytest.raises(RuntimeError, match="super_resolution.conv1.bias"):
        load_ecamp(tmp_path)


def test_loader_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="config.json not found"):
        load_ecamp(tmp_path)


def test_command_writes_a_folder_that_loads(official: State, network: ECAMP, tmp_path: Path) -> None:
    import radbundles.cli.convert_command  # noqa: F401

    torch.save({"model": official}, tmp_path / "checkpoint.pth")
    arguments = ["convert", str(tmp_path / "checkpoint.pth"), "--out", str(tmp_path / "out"), "--heads", "3"]
    result = CliRunner().invoke(app, [*arguments, "--decoder-heads", "2", "--text-heads", "5"])
    assert result.exit_code == 0, result.output
    assert "3 dropped" in result.output
    assert torch.equal(load_ecamp(tmp_path / "out").encoder.cls_token, network.encoder.cls_token)
    report = json.loads((tmp_path / "out" / "conversion_report.json").read_text())
    assert len(report["keys"]) == len(official)


def test_command_tells_what_is_wrong_and_writes_nothing(official: State, tmp_path: Path) -> None:
    import radbundles.cli.convert_command  # noqa: F401

    del official["norm.weight"]
    torch.save(official, tmp_path / "checkpoint.pth")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "checkpoint.pth"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and not (tmp_path / "out").exists()
