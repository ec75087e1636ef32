# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_net_in_out

Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
FINDINGS = ["calcified", "rotated"]
GRADES = ["grade 0", "grade 1", "grade 2"]


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "ecamp_classification"


@pytest.fixture
def small(annotated: Path, tmp_path: Path) -> Settings:
    return {
        "dataset_dir": str(annotated),
        "output_dir": str(tmp_path / "run"),
        "classes": FINDINGS,
        "image_size": 32,
        "stored_size": 36,
        "encoder": {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2},
        "epochs": 1,
        "epoch_batches": 3,
        "batch_size": 4,
        "num_workers": 0,
        "warmup_epochs": 0,
    }


def moved(before: Settings, after: Settings) -> set[str]:
    """Parts of a network of which some tensor changed."""
    assert before.keys() == after.keys()
    return {key.split(".")[0] for key, value in before.items() if not torch.equal(value, after[key])}


def trained(made: ConfigWorkflow) -> tuple[set[str], Settings]:
    """Run a training; return the parts that moved and the weights that are kept."""
    network = made.parser.get_parsed_content("network")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made.run()
    folder = Path(made.parser.get_parsed_content("output_dir"))
    after = torch.load(folder / "model.pt", weights_only=True)
    return moved(before, after), after


MULTICLASS = {"task": "multiclass", "classes": GRADES, "selection": "kappa", "ordinal": True}


@pytest.mark.parametrize(
    ("configs", "options"),
    [
        (("train",), {}),
        (("train", "tiny"), {}),
        (("train", "adamw"), {"encoder": {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 3, "heads": 2}}),
        (("train", "linear_probe"), {}),
        (("train", "tiny", "linear_probe"), {"balance": True}),
        (("train",), {"reweight": True, "missing": "absent", "selection": "loss"}),
        (("train", "tiny"), {"balance": True, "reweight": True, "label_smoothing": 0.1, **MULTICLASS}),
    ],
)
def test_dry_run_trains_what_it_shall_and_saves(
    small: Settings, workflow: Make, configs: tuple[str, ...], options: Settings
) -> None:
    made = workflow(*configs, **{**small, **options})
    assert made.check_properties() == []
    parts, _ = trained(made)
    get = made.parser.get_parsed_content
    assert get("train#trainer").state.iteration == 3
    assert parts == ({"head"} if "linear_probe" in configs else {"encoder", "fc_norm", "head"})
    metrics = get("validate#evaluator").state.metrics
    assert set(metrics) == {"score", "loss"} and all(math.isfinite(value) for value in metrics.values())
    points = json.loads((Path(small["output_dir"]) / "operating_points.json").read_text(encoding="utf-8"))
    assert points["section"] == "validation" and points["classes"] == get("classes")


def test_linear_probe_keeps_its_encoder_as_in_inference(small: Settings, workflow: Make) -> None:
    """Frozen, and without drop path while the head trains (quirk Q29)."""
    made = workflow("train", "linear_probe", **{**small, "drop_path": 0.5})
    get = made.parser.get_parsed_content
    seen = []
    get("network").encoder.register_forward_hook(
        lambda module, *_: seen.append((get("network").head.training, module.training))
    )
    made.run()
    assert (True, False) in seen and not any(encoder for _, encoder in seen)
    assert [name for name, one in get("network").named_parameters() if one.requires_grad] == [
        "head.weight",
        "head.bias",
    ]


def test_unknown_labels_take_no_part_in_training(annotated: Path, small: Settings, workflow: Make) -> None:
    """A label of -1 trains as one that is not there, bit by bit; read as absent it trains another network."""
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    unknown = [item for item in content["training"] if item["labels"]["rotated"] == -1]
    assert unknown
    for item in unknown:
        del item["labels"]["rotated"]
    silent = Path(small["output_dir"]).parent / "silent.json"
    silent.write_text(json.dumps(content), encoding="utf-8")
    found = []
    for name, options in (
        ("said", {}),
        ("silent", {"datalist": str(silent)}),
        ("absent", {"datalist": str(silent), "missing": "absent"}),
    ):
        folder = str(Path(small["output_dir"]) / name)
        found.append(trained(workflow("train", "tiny", **{**small, "output_dir": folder, **options}))[1])
    said, silent_too, absent = found
    assert not moved(said, silent_too) and moved(said, absent)


def test_images_of_no_or_several_grades_are_left_out(annotated: Path, small: Settings, workflow: Make) -> None:
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    for item, value in zip(content["training"], (0, 1), strict=False):
        item["labels"] |= dict.fromkeys(GRADES, value)
    datalist = Path(small["output_dir"]).parent / "vague.json"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    made = workflow("train", "tiny", **{**small, **MULTICLASS, "datalist": str(datalist)})
    items = made.parser.get_parsed_content("train#items")
    assert len(items) == len(content["training"]) - 2 and sum(items.left_out.values()) == 2
    assert (np.asarray(items.labels).sum(1) == 1).all()


def test_rare_classes_are_drawn_as_often_as_others(annotated: Path, small: Settings, workflow: Make) -> None:
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    for place, item in enumerate(content["training"]):
        item["labels"] = {"grade 0": int(place > 0), "grade 2": int(place == 0)}
    datalist = Path(small["output_dir"]).parent / "rare.json"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    options = {**MULTICLASS, "classes": ["grade 0", "grade 2"], "datalist": str(datalist), "epoch_batches": 6}
    for balance, share in ((False, 1 / len(content["training"])), (True, 0.5)):
        made = workflow("train", "tiny", **{**small, **options, "balance": balance})
        get = made.parser.get_parsed_content
        labels = np.asarray(get("train#items").labels)
        drawn = [labels[key % len(labels), 1] for key in get("train#sampler")]
        assert len(drawn) == 24 and np.mean(drawn) == pytest.approx(share, abs=0.05)


def test_colors_go_from_training_to_the_bundle_of_the_run(small: Settings, workflow: Make, bundle: Path) -> None:
    colors = {"color": "rgb", "pixel_mean": [0.5, 0.3, 0.2], "pixel_std": [0.2, 0.2, 0.1], "require_chest": False}
    workflow("train", "tiny", **{**small, **MULTICLASS, **colors}).run()
    configs = Path(small["output_dir"]) / "bundle" / "configs"
    config = json.loads((configs / "inference.json").read_text(encoding="utf-8"))
    assert {key: config[key] for key in colors} == colors and config["task"] == "multiclass"
    metadata = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))
    image = metadata["network_data_format"]["inputs"]["image"]
    assert list(image["channel_def"].values()) == ["red", "green", "blue"] and image["value_range"] == [-2.5, 8.0]


@pytest.mark.parametrize(
    ("labels", "selection", "message"),
    [({"calcified": 1}, "auroc", "auroc is not defined"), ({}, "area", "selection must be one of")],
)
def test_selection_that_validation_cannot_give_is_refused_at_the_start(
    annotated: Path, small: Settings, workflow: Make, labels: dict[str, int], selection: str, message: str
) -> None:
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    for item in content["validation"]:
        item["labels"] |= labels
    datalist = Path(small["output_dir"]).parent / "one_sided.json"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    options = {"datalist": str(datalist), "classes": ["calcified"], "selection": selection}
    with pytest.raises(RuntimeError) as error:
        workflow("train", "tiny", **{**small, **options}).run()
    assert message in str(error.value.__cause__)


def test_recipe_has_the_published_values(bundle: Path) -> None:
    """ChestX-ray14 with one percent of the labels: 3000 steps of 96 images."""
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    assert (config["epochs"] * config["epoch_batches"], config["batch_size"]) == (3000, 96)
    assert config["warmup_epochs"] * config["epoch_batches"] == 50
    assert (config["learning_rate"], config["weight_decay"], config["max_norm"]) == (0.03, 0.0, 1.0)
    assert config["optimizer"]["_target_"] == "torch.optim.SGD" and config["optimizer"]["momentum"] == 0.9
    assert (config["image_size"], config["crop_scale"], config["flip"]) == (224, [0.08, 1.0], 0.5)
    assert (config["drop_path"], config["layer_decay"], config["trained"]) == (0.1, 1.0, "all")
    assert (config["patience"], config["seed"], config["selection"]) == (20, 42, "auroc")
    assert config["encoder"] == {"kind": "vit", "patch_size": 16, "dim": 768, "depth": 12, "heads": 12}


def test_inference_network_fits_its_metadata(bundle: Path) -> None:
    """ViT-B/16 with the head of 14 classes, as the bundle is shipped."""
    configs = bundle / "configs"
    verify_net_in_out(
        "network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )
