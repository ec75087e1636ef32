# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.phantom import write_phantoms

Command = Callable[..., list[str]]
Run = Callable[[list[str]], None]
Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
CLASSES = ["left lung", "right lung", "heart", "effusion"]
# The towers of both stages, the published encoder narrower.
IMAGE = {"_target_": "radbundles.networks.ResNetEncoder", "depth": 50, "in_channels": 3, "widths": [4, 4, 8, 8]}
TEXT = {
    "_target_": "radbundles.networks.build_bert",
    "vocab_size": "$@vocabulary.get_vocab_size()",
    "dim": 16,
    "layers": 1,
    "heads": 2,
    "ffn": 32,
    "max_length": 80,
}
TINY_TEXT = {"network_def#{}text#encoder#dim": 16, "network_def#{}text#encoder#ffn": 32}
TINY_IMAGE = {"network_def#{}image#encoder#widths": [4, 8]}


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "dcxfm_dense"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with datalist.json and tokenizer.json of phantoms, with stage 1 of both shapes, untrained."""
    folder = tmp_path_factory.mktemp("prepared_dense")
    datalist = write_phantoms(folder, count=20, seed=3, size=96)
    train_tokenizer(ReportCorpus(datalist), vocab_size=400, out=folder / "tokenizer.json")
    return folder


def tiny_towers(prefix: str = "") -> Settings:
    return {key.format(prefix): value for key, value in (TINY_TEXT | TINY_IMAGE).items()}


@pytest.fixture(scope="session")
def stage1(prepared: Path, repository: Path) -> Path:
    """A packed stage 1 of the tiny shape."""
    root = repository / "bundles" / "dcxfm_pretrain"
    overrides = {**tiny_towers(), "dim": 16, "image_size": 64}
    tokenizer = prepared / "tokenizer.json"
    workflow = bundle_workflow(root, ("inference", "tiny"), tokenizer=str(tokenizer), **overrides)
    weights = prepared / "stage1.pt"
    torch.save(workflow.parser.get_parsed_content("network").state_dict(), weights)
    out = prepared / "stage1"
    return pack_bundle(root, ["train", "tiny"], out, weights=weights, tokenizer=tokenizer, overrides=overrides)


@pytest.fixture
def small(prepared: Path) -> Settings:
    return {
        "dataset_dir": str(prepared),
        "classes": CLASSES,
        "image_size": 64,
        "epochs": 1,
        "epoch_batches": 3,
        "batch_size": 4,
        "num_workers": 0,
        "dim": 16,
        "aggregator_dim": 32,
        "window": 4,
        "decoder_widths": [16, 16],
        "guidance_dims": [0, 0],
        "guidance_widths": [0, 0],
    }


@pytest.fixture
def tiny(small: Settings, stage1: Path) -> Settings:
    guided = {"guidance_dims": [4, 0], "guidance_widths": [16, 0]}
    return {**small, **tiny_towers("dcxfm#"), **guided, "stage1": str(stage1)}


@pytest.fixture
def wide(small: Settings, prepared: Path) -> Settings:
    """Settings of the published shape, without a stage 1."""
    return {
        **small,
        "network_def#dcxfm#image#encoder": IMAGE,
        "network_def#dcxfm#text#encoder": TEXT,
        "tokenizer": str(prepared / "tokenizer.json"),
        "stage1_weights": None,
    }


@pytest.mark.parametrize("configs", [("train",), ("train", "official"), ("train", "tiny"), ("train", "tiny", "unet")])
def test_dry_run_trains_and_saves(
    tmp_path: Path, tiny: Settings, wide: Settings, configs: tuple[str, ...], workflow: Make
) -> None:
    settings = {
        key: value
        for key, value in (tiny if "tiny" in configs else wide).items()
        if "unet" not in configs or not key.startswith("network_def")
    }
    made = workflow(*configs, output_dir=str(tmp_path), **settings)
    assert made.check_properties() == []
    get = made.parser.get_parsed_content
    before = {name: value.clone() for name, value in get("network").state_dict().items()}
    made.run()
    assert get("train#trainer").state.iteration == 3
    metrics = get("validate#evaluator").state.metrics
    assert all(math.isfinite(metrics[name]) for name in ("dice", "loss", "dice_loss", "focal_loss"))
    after = torch.load(tmp_path / "model.pt", weights_only=True)
    assert set(after) == set(before)
    moved = {
        name.split(".")[0] if "unet" in configs else ".".join(name.split(".")[:2])
        for name in after
        if after[name].is_floating_point() and not torch.equal(after[name], before[name])
    }
    if "unet" not in configs:
        assert "dcxfm.image" in moved and any(name.startswith("aggregator") for name in moved)
        assert "dcxfm.text" not in moved, "the text tower is frozen"


def test_stage_1_is_loaded_and_texts_are_encoded_once(
    tmp_path: Path, tiny: Settings, workflow: Make, stage1: Path
) -> None:
    made = workflow("train", "tiny", output_dir=str(tmp_path), **{**tiny, "epochs": 2})
    get = made.parser.get_parsed_content
    packed = torch.load(stage1 / "models" / "model.pt", weights_only=True)
    own = get("network").dcxfm.state_dict()
    assert set(packed) == set(own) and all(torch.equal(packed[name], own[name]) for name in own)
    calls = []
    get("network").dcxfm.text.register_forward_hook(lambda *_: calls.append(1))
    made.run()
    assert get("train#trainer").state.iteration == 6 and len(calls) == 1


def test_released_recipe_has_the_released_values(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    official = json.loads((bundle / "configs" / "official.json").read_text(encoding="utf-8"))
    assert (config["learning_rate"], config["encoder_multiplier"], config["weight_decay"]) == (2e-5, 0.01, 1e-4)
    assert (config["max_norm"], config["batch_size"], config["epochs"] * config["epoch_batches"]) == (0.01, 16, 500)
    assert (config["image_size"], config["dim"], config["prompt_channels"], len(config["classes"])) == (512, 128, 4, 14)
    assert (config["aggregator_dim"], config["aggregator_depth"], config["window"]) == (64, 1, 16)
    assert (config["attention"], config["decoder_widths"], config["schedule"]) == ("linear", [32, 16], "constant")
    assert (official["flip"], official["prompt_draw"]) == (0.5, "random")


def test_metadata_is_valid(bundle: Path, repository: Path) -> None:
    schema = repository / "components" / "hub" / "metadata.schema.json"
    meta = bundle / "configs" / "metadata.json"
    verify_metadata(meta_file=str(meta), filepath=str(schema), hash_val=hashlib.md5(schema.read_bytes()).hexdigest())
    metadata = json.loads(meta.read_text(encoding="utf-8"))
    assert metadata["version"] in metadata["changelog"]


def test_killed_training_ends_with_the_state_of_an_undisturbed_one(
    tiny: Settings,
    command: Command,
    killed_and_whole: Callable[..., tuple[Settings, Settings]],
    assert_equal: Callable[[Any, Any], None],
) -> None:
    """SIGKILL in the middle, the same command again: network and optimizer bit for bit."""

    def train(folder: Path) -> list[str]:
        settings = {**tiny, "epochs": 12, "checkpoint_every": 1, "val_interval": 4, "flip": 0.5}
        return command("train", "tiny", output_dir=str(folder), **settings)

    killed, whole = killed_and_whole(train, epochs=12)
    for part in ("objective", "optimizer"):
        assert_equal(killed[part], whole[part])


def test_exam_judges_seen_and_unseen_classes(tmp_path: Path, tiny: Settings, workflow: Make) -> None:
    workflow("train", "tiny", output_dir=str(tmp_path), **tiny).run()
    settings = {key: value for key, value in tiny.items() if key != "classes"}
    found = []
    for weights in (str(tmp_path / "model.pt"), None):
        results = tmp_path / f"results-{weights is None}"
        made = workflow(
            *("train", "tiny", "evaluate"), output_dir=str(tmp_path), weights=weights, results=str(results), **settings
        )
        made.run()
        found.append(json.loads((results / "evaluation.json").read_text(encoding="utf-8")))
        for task in ("grounding", "segmentation"):
            table = json.loads((results / task / "grounding.json").read_text(encoding="utf-8"))
            assert set(table["protocols"]) == {"dcxfm", "dcxfm_probability", "half"}
        classes = set(table["protocols"]["half"]["classes"])
        assert set(CLASSES) & classes and classes - set(CLASSES), "judged on trained classes and on others"
    assert {"segmentation_half_dice", "grounding_dcxfm_pointing", "segmentation_dcxfm_probability_iou"} <= set(found[0])
    assert found[0]["segmentation_dcxfm_cnr"] != found[1]["segmentation_dcxfm_cnr"]


def test_packed_run_knows_its_classes(
    tmp_path: Path, bundle: Path, tiny: Settings, stage1: Path, workflow: Make
) -> None:
    workflow("train", "tiny", output_dir=str(tmp_path), **tiny).run()
    overrides = {key: value for key, value in tiny.items() if key not in ("dataset_dir", "stage1")}
    packed = pack_bundle(
        bundle,
        ["train", "tiny"],
        tmp_path / "mine",
        weights=tmp_path / "model.pt",
        tokenizer=stage1 / "models" / "tokenizer.json",
        overrides={**overrides, "stage1": str(stage1)},
    )
    config = json.loads((packed / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert config["classes"] == CLASSES and config["image_size"] == 64
    metadata = json.loads((packed / "configs" / "metadata.json").read_text(encoding="utf-8"))
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert list(output["channel_def"].values()) == CLASSES and output["spatial_shape"] == [64, 64]


def test_inference_network_fits_its_metadata(bundle: Path, prepared: Path) -> None:
    sizes: dict[str, Any] = {"network_def#dcxfm#text#encoder#layers": 1}
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        extra_forward_args={"prompts": torch.randn(14, 4, 128)},
        tokenizer=str(prepared / "tokenizer.json"),
        **sizes,
    )
