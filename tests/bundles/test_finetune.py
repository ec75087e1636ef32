# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle with weights goes on from them, with the configs that it brings itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from radbundles.components.hub.pack import pack_bundle
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.sentences import label_sentences

Settings = dict[str, Any]
TINY_TEXT = {"network_def#{}text#encoder#dim": 16, "network_def#{}text#encoder#ffn": 32}
TINY_IMAGE = {"network_def#{}image#encoder#widths": [4, 8]}
# What makes a config of each bundle small, and belongs to the network.
NETWORK: dict[str, Settings] = {
    "ecamp_pretrain": {
        "image_size": 64,
        **{f"network_def#{key}": 16 for key in ("dim", "decoder_dim", "text_dim", "text_ffn")},
        **{f"network_def#{key}": 1 for key in ("depth", "decoder_depth", "text_layers")},
        **{f"network_def#{key}": 2 for key in ("heads", "decoder_heads", "text_heads")},
    },
    "dcxfm_pretrain": {
        "image_size": 64,
        "dim": 16,
        **{key.format(""): value for key, value in (TINY_TEXT | TINY_IMAGE).items()},
    },
    "dcxfm_dense": {
        "image_size": 64,
        "dim": 16,
        **{key.format("dcxfm#"): value for key, value in (TINY_TEXT | TINY_IMAGE).items()},
        "aggregator_dim": 32,
        "window": 4,
        "decoder_widths": [16, 16],
        "guidance_dims": [4, 0],
        "guidance_widths": [16, 0],
        "classes": ["left lung", "heart"],
    },
}
RUN: Settings = {"epochs": 1, "batch_size": 4, "num_workers": 0}
SHORT = {"epoch_batches": 2, "warmup_epochs": 0}


@pytest.fixture(scope="module")
def data(prepared: Path) -> Path:
    """Folder with whatever any of the pre-trainings reads."""
    if not (prepared / "sentences.jsonl").is_file():
        label_sentences(prepared / "datalist.json", prepared / "sentences.jsonl", table="findings")
    return prepared


@pytest.mark.parametrize("name", NETWORK)
def test_a_packed_pretraining_goes_on_from_its_weights(name: str, data: Path, tmp_path: Path, repository: Path) -> None:
    """In a place of its own, with its own tokenizer, network and sizes; nothing of the first run is named again."""
    root, tokenizer = repository / "bundles" / name, data / "tokenizer.json"
    first = {**NETWORK[name], **RUN, "dataset_dir": str(data), "tokenizer": str(tokenizer)}
    if name == "dcxfm_dense":
        first |= {"stage1_weights": None, **SHORT}
    made = bundle_workflow(root, ["train", "tiny"], kind="train", output_dir=str(tmp_path / "first"), **first)
    network = made.parser.get_parsed_content("network")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    packed = pack_bundle(
        root,
        ["train", "tiny"],
        tmp_path / "mine",
        weights=tmp_path / "model.pt",
        tokenizer=tokenizer,
        overrides=NETWORK[name] | ({"stage1_weights": None} if name == "dcxfm_dense" else {}),
    )
    run = {**RUN, "dataset_dir": str(data), "output_dir": str(tmp_path / "second")}
    run |= SHORT if name == "dcxfm_dense" else {}
    again = bundle_workflow(packed, ["train", "finetune"], kind="train", **run)
    assert again.check_properties() == []
    get = again.parser.get_parsed_content
    for key, tensor in get("network").state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key]), key
    teacher = getattr(get("objective"), "teacher", None)
    if teacher is not None:
        for key, tensor in teacher.image.state_dict().items():
            assert torch.equal(tensor, get("network").image.state_dict()[key]), key
    again.run()
    assert (tmp_path / "second" / "model.pt").is_file()
    saved = torch.load(packed / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(saved[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("classes", [["calcified", "rotated"], ["rotated"]])
def test_a_trained_classifier_goes_on_from_its_weights(
    classes: list[str], annotated: Path, trained_classifier: Path, tmp_path: Path
) -> None:
    run = {**RUN, **SHORT, "dataset_dir": str(annotated), "output_dir": str(tmp_path), "classes": classes}
    again = bundle_workflow(trained_classifier, ["train", "finetune"], kind="train", **run)
    network = again.parser.get_parsed_content("network")
    saved = torch.load(trained_classifier / "models" / "model.pt", weights_only=True)
    whole = len(classes) == 2
    for key, tensor in network.state_dict().items():
        if whole or key.startswith("encoder."):
            assert torch.equal(tensor, saved[key]), key
    report = json.loads((tmp_path / "start.json").read_text(encoding="utf-8"))
    assert report["loaded"] == ("all" if whole else "encoder")
    again.run()
    metadata = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == classes


@pytest.fixture(scope="module")
def trained_classifier(annotated: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that a short training of ecamp_classification has left, away from the run."""
    folder = tmp_path_factory.mktemp("classifier")
    made = bundle_workflow(
        repository / "bundles" / "ecamp_classification",
        ["train"],
        kind="train",
        **RUN,
        **SHORT,
        dataset_dir=str(annotated),
        output_dir=str(folder / "run"),
        classes=["calcified", "rotated"],
        image_size=64,
        stored_size=72,
        encoder={"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2},
    )
    made.run()
    return (folder / "run" / "bundle").rename(folder / "mine")
