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
from tokenizers import Tokenizer

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.phantom import write_phantoms
from radbundles.components.sentences import label_sentences
from radbundles.networks import build_bert

Command = Callable[..., list[str]]
Run = Callable[[list[str]], None]
Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
LOSSES = ("loss", "contrast", "word_region", "distillation")
# The published encoder, narrower.
NARROW = {"_target_": "radbundles.networks.ResNetEncoder", "depth": 50, "in_channels": 3, "widths": [4, 4, 8, 8]}


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "dcxfm_pretrain"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with datalist.json, sentences.jsonl, tokenizer.json and text_encoder of phantoms."""
    folder = tmp_path_factory.mktemp("prepared_dcxfm")
    datalist = write_phantoms(folder, count=20, seed=3, size=96)
    label_sentences(datalist, folder / "sentences.jsonl", table="findings")
    tokenizer = folder / "tokenizer.json"
    train_tokenizer(ReportCorpus(datalist), vocab_size=400, out=tokenizer)
    vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab_size()
    encoder = build_bert(vocab_size=vocabulary, dim=16, layers=1, heads=2, ffn=32, max_length=80)
    encoder.save_pretrained(folder / "text_encoder")
    (folder / "text_encoder" / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return folder


@pytest.fixture
def small() -> Settings:
    return {
        "image_size": 64,
        "local_size": 32,
        "local_crops": 2,
        "epochs": 1,
        "schedule_epochs": 4,
        "warmup_epochs": 1,
        "batch_size": 4,
        "num_workers": 0,
        "val_interval": 1,
        "table": "findings",
        "dim": 16,
        "prototypes": 8,
        "head_hidden": 16,
        "head_bottleneck": 8,
    }


@pytest.fixture
def tiny(small: Settings) -> Settings:
    return {
        **small,
        "network_def#image#encoder#widths": [4, 8],
        "network_def#text#encoder#dim": 16,
        "network_def#text#encoder#ffn": 32,
    }


@pytest.mark.parametrize(
    "configs", [("train",), ("train", "tiny"), ("train", "official"), ("train", "tiny", "official")]
)
def test_dry_run_trains_and_saves(
    prepared: Path, tmp_path: Path, small: Settings, tiny: Settings, configs: tuple[str, ...], workflow: Make
) -> None:
    settings = tiny if "tiny" in configs else {**small, "network_def#image#encoder": NARROW}
    made = workflow(*configs, dataset_dir=str(prepared), output_dir=str(tmp_path), **settings)
    assert made.check_properties() == []
    made.run()
    trainer = made.parser.get_parsed_content("train#trainer")
    assert trainer.state.iteration >= 2
    metrics = made.parser.get_parsed_content("validate#evaluator").state.metrics
    assert all(math.isfinite(metrics[name]) for name in LOSSES)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert set(weights) == set(made.parser.get_parsed_content("network").state_dict())
    objective = made.parser.get_parsed_content("objective")
    student, teacher = (dict(part.named_parameters()) for part in (objective.student, objective.teacher))
    moved = [name for name, value in teacher.items() if not torch.equal(value, student[name])]
    start = made.parser.get_parsed_content("train#handlers#2")
    assert moved and start.momentum == (1.0 if "official" in configs else 0.994)


def test_teacher_moves_unless_official(prepared: Path, tmp_path: Path, tiny: Settings, workflow: Make) -> None:
    for configs, moves in ((("train", "tiny"), True), (("train", "tiny", "official"), False)):
        made = workflow(*configs, dataset_dir=str(prepared), output_dir=str(tmp_path / configs[-1]), **tiny)
        teacher = made.parser.get_parsed_content("objective").teacher
        before = {name: value.clone() for name, value in teacher.named_parameters()}
        made.run()
        assert moves is any(not torch.equal(value, before[name]) for name, value in teacher.named_parameters())


def test_released_recipe_has_the_released_values(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    assert (config["epochs"], config["warmup_epochs"], config["learning_rate"]) == (50, 10, 2e-5)
    assert (config["weight_decay"], config["batch_size"], config["patience"]) == (0.01, 24, 5)
    assert [config[f"{name}_weight"] for name in LOSSES[1:]] == [1, 2, 1]
    assert (config["global_crops"], config["local_crops"], config["image_size"], config["local_size"]) == (
        2,
        4,
        512,
        224,
    )
    assert (config["dim"], config["prototypes"], config["teacher_momentum"]) == (128, 128, 0.994)


def test_metadata_is_valid(bundle: Path, repository: Path) -> None:
    schema = repository / "components" / "hub" / "metadata.schema.json"
    meta = bundle / "configs" / "metadata.json"
    verify_metadata(meta_file=str(meta), filepath=str(schema), hash_val=hashlib.md5(schema.read_bytes()).hexdigest())
    metadata = json.loads(meta.read_text(encoding="utf-8"))
    assert metadata["version"] in metadata["changelog"]


def test_killed_training_ends_with_the_state_of_an_undisturbed_one(
    prepared: Path,
    tiny: Settings,
    command: Command,
    killed_and_whole: Callable[..., tuple[Settings, Settings]],
    assert_equal: Callable[[Any, Any], None],
) -> None:
    """SIGKILL in the middle, the same command again: student, teacher, center and optimizer bit for bit."""

    def train(folder: Path) -> list[str]:
        settings = {**tiny, "epochs": 12, "schedule_epochs": 12, "checkpoint_every": 1, "val_interval": 4}
        return command("train", "tiny", dataset_dir=str(prepared), output_dir=str(folder), **settings)

    killed, whole = killed_and_whole(train, epochs=12)
    for part in ("objective", "optimizer"):
        assert_equal(killed[part], whole[part])
    assert any(name.startswith("teacher.") for name in whole["objective"])
    assert killed["teacher"] == whole["teacher"]


def test_exam_judges_saved_weights(prepared: Path, tmp_path: Path, tiny: Settings, workflow: Make) -> None:
    settings = {**tiny, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    workflow("train", "tiny", **settings).run()
    weights = tmp_path / "model.pt"
    found = []
    for section, thresholds, given in (
        ("validation", None, weights),
        ("test", "validation", weights),
        ("test", None, None),
    ):
        results = tmp_path / f"{section}-{given is not None}"
        chosen = {"thresholds": str(tmp_path / f"{thresholds}-True" / "classification" / "classification.json")}
        names = ["effusion", "heart"]
        made = workflow(
            *("train", "tiny", "evaluate"),
            section=section,
            weights=str(given) if given else None,
            results=str(results),
            classes=names,
            protocols=["dcxfm", "biovil"],
            maps="cosine",  # shares have no bounds, which the biovil protocol asks for
            **(chosen if thresholds else {}),
            **settings,
        )
        made.run()
        found.append(json.loads((results / "evaluation.json").read_text(encoding="utf-8")))
        for task in ("grounding", "segmentation"):
            table = json.loads((results / task / "grounding.json").read_text(encoding="utf-8"))
            assert set(table["protocols"]) == {"dcxfm", "biovil"}
            assert {"model", "centered box", "margin"} == set(table["protocols"]["dcxfm"]["mean"])
    assert {"grounding_dcxfm_pointing", "segmentation_biovil_iou", "grounding_centered_box_dcxfm_cnr"} <= set(found[0])
    assert "classification_mcc" in found[1] and "classification_mcc" not in found[0]
    assert found[1]["grounding_dcxfm_cnr"] != found[2]["grounding_dcxfm_cnr"], "trained and untrained weights agree"


def test_inference_network_fits_its_metadata(bundle: Path, prepared: Path) -> None:
    sizes: dict[str, Any] = {"network_def#text#encoder#layers": 1}
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        tokenizer=str(prepared / "tokenizer.json"),
        **sizes,
    )
