# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_net_in_out

Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
CLASSES = ["left lung", "right lung", "heart"]
VIT = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 3, "heads": 2}
RESNET = {"kind": "resnet", "depth": 50, "widths": [4, 4, 8, 8]}


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "ecamp_segmentation"


@pytest.fixture
def small(annotated: Path, tmp_path: Path) -> Settings:
    return {
        "dataset_dir": str(annotated),
        "output_dir": str(tmp_path / "run"),
        "classes": CLASSES,
        "image_size": 64,
        "encoder": VIT,
        "decoder_widths": [8, 8, 8],
        "epochs": 1,
        "epoch_batches": 3,
        "batch_size": 4,
        "num_workers": 0,
        "warmup_epochs": 0,
    }


def trained(made: ConfigWorkflow) -> tuple[set[str], Settings]:
    """Run a training; return the parts that moved and the weights that are kept."""
    get = made.parser.get_parsed_content
    before = {key: value.clone() for key, value in get("network").state_dict().items()}
    made.run()
    after = torch.load(Path(get("output_dir")) / "model.pt", weights_only=True)
    assert before.keys() == after.keys()
    return {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])}, after


@pytest.mark.parametrize(
    ("configs", "options"),
    [
        (("train",), {}),
        (("train",), {"trained": "all", "shared": False, "drop_path": 0.2}),
        (("train",), {"decoder": "unetr", "trained": "all", "layer_decay": 0.75}),
        (("train", "tiny"), {}),
        (("train", "tiny"), {"trained": "decoder", "decoder": "unetr"}),
        (("train", "tiny"), {"encoder": RESNET, "decoder": "unetr", "decoder_widths": [8, 8, 8, 8, 8]}),
        (("train", "tiny"), {"classes": ["heart"], "missing": "unknown", "flip": 0.5, "color": "rgb"}),
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
    default = "decoder" if configs == ("train",) else "all"
    frozen = options.get("trained", default) == "decoder"
    assert parts == ({"decoder"} if frozen else {"encoder", "decoder"})
    metrics = get("validate#evaluator").state.metrics
    assert {"loss", "focal_loss", "dice_loss"} < set(metrics) and all(map(math.isfinite, metrics.values()))
    points = json.loads((Path(small["output_dir"]) / "operating_points.json").read_text(encoding="utf-8"))
    assert points["classes"] == get("classes") and all(0 < cut < 1 for cut in points["thresholds"].values())


def test_frozen_encoder_works_as_in_inference(small: Settings, workflow: Make) -> None:
    made = workflow("train", **{**small, "drop_path": 0.5})
    get = made.parser.get_parsed_content
    seen = []
    get("network").encoder.register_forward_hook(
        lambda module, *_: seen.append((get("network").decoder.training, module.training))
    )
    made.run()
    assert (True, False) in seen and not any(encoder for _, encoder in seen)
    trainable = [name for name, one in get("network").named_parameters() if one.requires_grad]
    assert trainable and all(name.startswith("decoder.") for name in trainable)


def test_structures_are_those_of_the_training_section_unless_named(small: Settings, workflow: Make) -> None:
    del small["classes"]
    made = workflow("train", "tiny", **small)
    classes = made.parser.get_parsed_content("classes")
    assert set(CLASSES) <= set(classes) and classes == sorted(classes)
    assert made.parser.get_parsed_content("network").eval()(torch.zeros(1, 3, 64, 64)).shape == (
        1,
        len(classes),
        64,
        64,
    )


def test_boxes_train_as_filled_masks_where_there_are_no_others(
    annotated: Path, small: Settings, workflow: Make
) -> None:
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        for item in content[section]:
            item.pop("masks")
    datalist = Path(small["output_dir"]).parent / "boxes.json"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    plain = {"affine_probability": 0.0, "jitter_probability": 0.0, "noise_probability": 0.0}
    made = workflow("train", "tiny", **{**small, **plain, "boxes": True, "datalist": str(datalist)})
    sample = made.parser.get_parsed_content("train#dataset")[0]
    side = 64 / 96
    for name, mask in zip(CLASSES, sample["masks"], strict=True):
        [[x0, y0, x1, y1]] = next(item for item in content["training"] if item["id"] == sample["id"])["boxes"][name]
        rows, columns = mask.nonzero(as_tuple=True)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [float(edge) for edge in found] == pytest.approx([edge * side for edge in (x0, y0, x1, y1)], abs=1)
        assert len(rows) == (found[2] - found[0]) * (found[3] - found[1])
    made.run()
    assert (Path(small["output_dir"]) / "bundle" / "models" / "model.pt").is_file()


def test_unknown_structures_take_no_part_in_training(annotated: Path, small: Settings, workflow: Make) -> None:
    """A heart that may be anywhere trains as one of which nothing is said, bit by bit, and not as an absent one."""
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    found: list[Settings] = []
    for labels, missing in (({"heart": -1}, "absent"), ({"heart": 1}, "absent"), ({}, "unknown"), ({}, "absent")):
        for item in content["training"][::2]:
            for places in (item["masks"], item["boxes"]):
                places.pop("heart", None)
            item["labels"] = labels
        datalist = Path(small["output_dir"]).parent / "unknown.json"
        datalist.write_text(json.dumps(content), encoding="utf-8")
        folder = str(Path(small["output_dir"]) / str(len(found)))
        options = {**small, "missing": missing, "datalist": str(datalist), "output_dir": folder}
        found.append(trained(workflow("train", "tiny", **options))[1])
    first, *others, absent = found
    assert all(torch.equal(value, other[key]) for other in others for key, value in first.items())
    assert not all(torch.equal(value, absent[key]) for key, value in first.items())


def test_recipe_has_the_published_values(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    assert (
        config["epochs"] * config["epoch_batches"] == 3000 and config["warmup_epochs"] * config["epoch_batches"] == 50
    )
    assert (config["learning_rate"], config["weight_decay"], config["max_norm"]) == (5e-4, 0.05, 1.0)
    optimizer = config["optimizer"]
    assert (optimizer["_target_"], optimizer["betas"]) == ("torch.optim.AdamW", [0.9, 0.999])
    assert (config["image_size"], config["affine_probability"], config["flip"]) == (224, 0.5, 0.0)
    assert (config["trained"], config["drop_path"]) == ("decoder", 0.0)
    assert (config["decoder"], config["decoder_widths"], config["seed"]) == ("progressive", [512, 256, 128, 64], 42)
    assert config["objective_def"]["loss"] == {"_target_": "radbundles.losses.ECAMPSegmentationLoss"}
    assert config["encoder"] == {"kind": "vit", "patch_size": 16, "dim": 768, "depth": 12, "heads": 12}


def test_inference_network_fits_its_metadata(bundle: Path) -> None:
    """ViT-B/16 with the progressive decoder of disc and cup, as the bundle is shipped."""
    configs = bundle / "configs"
    verify_net_in_out(
        "network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )
