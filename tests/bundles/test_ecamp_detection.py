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

from radbundles.networks import build_detector, build_encoder

Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
CLASSES = ["left lung", "right lung", "heart"]
RETINANET = {"kind": "retinanet", "out_channels": 16}
YOLO = {"kind": "yolov3", "expansion": 4, "widths": [16, 32, 64]}


@pytest.fixture(scope="session")
def bundle(repository: Path) -> Path:
    return repository / "bundles" / "ecamp_detection"


@pytest.fixture
def small(annotated: Path, tmp_path: Path) -> Settings:
    return {
        "dataset_dir": str(annotated),
        "output_dir": str(tmp_path / "run"),
        "classes": CLASSES,
        "image_size": 64,
        "encoder": {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 2, "heads": 2},
        "detector": RETINANET,
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
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    return {"encoder" if "encoder." in key else "head" for key in moved}, after


@pytest.mark.parametrize(
    ("configs", "options"),
    [
        (("train",), {}),
        (("train",), {"trained": "head", "drop_path": 0.0}),
        (("train", "yolo"), {"detector": YOLO}),
        (("train", "tiny"), {"layer_decay": 0.75}),
        (("train", "tiny"), {"trained": "head", "missing": "unknown", "color": "rgb"}),
        (("train", "tiny", "yolo"), {"detector": YOLO, "trained": "all"}),
        (("train", "tiny"), {"encoder": {"kind": "resnet", "depth": 50, "widths": [4, 4, 8, 8]}}),
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
    frozen = options.get("trained", "head" if "yolo" in configs else "all") == "head"
    assert parts == ({"head"} if frozen else {"encoder", "head"})
    metrics = get("validate#evaluator").state.metrics
    assert set(metrics) == {"score", "loss"} and all(map(math.isfinite, metrics.values()))
    points = json.loads((Path(small["output_dir"]) / "operating_points.json").read_text(encoding="utf-8"))
    assert points["section"] == "validation" and points["classes"] == CLASSES


def test_frozen_encoder_works_as_in_inference(small: Settings, workflow: Make) -> None:
    made = workflow("train", **{**small, "trained": "head", "drop_path": 0.5})
    get = made.parser.get_parsed_content
    encoder = get("network").encoder
    seen = []
    encoder.register_forward_hook(lambda module, *_: seen.append((get("network").training, module.training)))
    made.run()
    assert (True, False) in seen and not any(training for _, training in seen)
    assert not any(one.requires_grad for one in encoder.parameters())
    assert any(one.requires_grad for one in get("network").parameters())


def test_classes_are_those_of_the_training_section_unless_named(small: Settings, workflow: Make) -> None:
    del small["classes"]
    classes = workflow("train", "tiny", **small).parser.get_parsed_content("classes")
    assert set(CLASSES) <= set(classes) and classes == sorted(classes)


def test_images_without_boxes_train_and_unknown_ones_do_not(annotated: Path, small: Settings, workflow: Make) -> None:
    """An image without boxes is a negative; one in which a class is unknown would teach its objects as background."""
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    negative, unknown, *_ = content["training"]
    negative["boxes"] = {}
    unknown["labels"] = {"heart": -1}
    del unknown["boxes"]["heart"]
    datalist = Path(small["output_dir"]).parent / "some.json"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    for detector in (RETINANET, YOLO):
        options = {"detector": detector, "batch_size": 2, "datalist": str(datalist)}
        folder = str(Path(small["output_dir"]) / str(detector["kind"]))
        made = workflow("train", "tiny", **{**small, **options, "output_dir": folder})
        items = made.parser.get_parsed_content("train#items")
        ids = [item["id"] for item in items]
        assert negative["id"] in ids and unknown["id"] not in ids and sum(items.left_out.values()) == 1
        assert not items.labels[ids.index(negative["id"])].any()
        made.run()
        assert math.isfinite(made.parser.get_parsed_content("validate#evaluator").state.metrics["loss"])


def test_boxes_reach_the_network_in_its_own_pixels(annotated: Path, small: Settings, workflow: Make) -> None:
    plain = {"flip": 0.0, "affine_probability": 0.0, "jitter_probability": 0.0, "noise_probability": 0.0}
    made = workflow("train", "tiny", **{**small, **plain})
    content = json.loads((annotated / "datalist.json").read_text(encoding="utf-8"))
    dataset = made.parser.get_parsed_content("train#dataset")
    for sample in (dataset[index] for index in range(4)):
        boxes = next(item for item in content["training"] if item["id"] == sample["id"])["boxes"]
        wanted = torch.tensor([box for name in CLASSES for box in boxes[name]]) * (64 / 96)
        torch.testing.assert_close(sample["boxes"], wanted)
        assert sample["box_classes"].tolist() == [0, 1, 2]


def test_recipe_has_the_published_values(bundle: Path) -> None:
    config, yolo = (
        json.loads((bundle / "configs" / f"{name}.json").read_text(encoding="utf-8")) for name in ("train", "yolo")
    )
    optimizer = config["optimizer"]
    assert (optimizer["_target_"], optimizer["betas"]) == ("torch.optim.AdamW", [0.9, 0.999])
    assert (config["weight_decay"], config["image_size"], config["patience"]) == (0.05, 224, 20)
    assert config["epochs"] * config["epoch_batches"] == 3000 and config["nms_iou"] == 0.5
    assert (yolo["learning_rate"], yolo["trained"], yolo["drop_path"]) == (5e-4, "head", 0.0)
    assert yolo["detector"] == {"kind": "yolov3", "expansion": 8}
    assert {yolo[f"{name}_probability"] for name in ("affine", "jitter", "noise")} == {yolo["flip"]} == {0.0}


def test_shipped_networks_have_the_published_sizes(bundle: Path) -> None:
    """The heads of ECAMP's authors train 27.13 million weights on a frozen ViT-B/16, of 112.93 million."""
    config, yolo = (
        json.loads((bundle / "configs" / f"{name}.json").read_text(encoding="utf-8")) for name in ("train", "yolo")
    )
    with torch.device("meta"):
        encoder = build_encoder(config["encoder"], image_size=config["image_size"])
        size = config["image_size"]
        network = build_detector(yolo["detector"], encoder, 1, image_size=size, trained=yolo["trained"])
    every = [one.numel() for one in network.parameters()]
    free = [one.numel() for one in network.parameters() if one.requires_grad]
    assert [round(sum(counts) / 1e6, 2) for counts in (free, every)] == [27.13, 112.93]


def test_inference_network_fits_its_metadata(bundle: Path) -> None:
    """RetinaNet on ViT-B/16 with one class, as the bundle is shipped: corners and score of each anchor."""
    configs = bundle / "configs"
    verify_net_in_out(
        "network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )
