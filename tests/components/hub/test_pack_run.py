# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The last step of a training run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import save_file
from torch import nn

from radbundles.components.hub.bundle_check import check_bundle
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack_run import pack_run
from radbundles.components.hub.workflow import bundle_workflow

CLASSES = ["Pleural Effusion", "50% stenosis @ home", "a::b", "Größe_3"]
POINTS = {
    "task": "multilabel",
    "classes": CLASSES,
    "section": "validation",
    "temperature": {"Pleural Effusion": 1.5, "50% stenosis @ home": None, "a::b": 0.7, "Größe_3": 1.0},
    "thresholds": {"Pleural Effusion": 0.31, "50% stenosis @ home": None, "a::b": 0.5, "Größe_3": 1.0000000000000002},
    "rule": "youden",
    "samples": 12,
}
INFERENCE = {
    "about": ["A classifier of the mean of each channel."],
    "imports": ["$import os", "$import torch"],
    "bundle_root": ".",
    "output_dir": "./found",
    "dataset_dir": "./images",
    "weights": "$os.path.join(@bundle_root, 'models', 'model.pt')",
    "device": "$torch.device('cpu')",
    "image_size": 224,
    "channels": 3,
    "task": "multilabel",
    "color": "gray",
    "pixel_mean": 0.5,
    "pixel_std": 0.25,
    "encoder": {"kind": "mean", "dim": 8},
    "classes": "$list(@_meta_#network_data_format#outputs#pred#channel_def.values())",
    "points": "@_meta_#operating_points",
    "model": {"name": "toy", "version": "@_meta_#version"},
    "network_def": "$torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),"
    " torch.nn.Linear(@channels, @encoder['dim']), torch.nn.Linear(@encoder['dim'], len(@classes)))",
    "network": "$@network_def.to(@device)",
}


@pytest.fixture
def bundle(tmp_path: Path, repository: Path) -> Path:
    folder, source = tmp_path / "ecamp_toy", repository / "bundles" / "ecamp_pretrain"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.json", "models"))
    metadata = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    image = metadata["network_data_format"]["inputs"]["image"]
    pred = {"type": "probabilities", "format": "classes", "num_channels": 1, "spatial_shape": []}
    pred |= {"dtype": "float32", "value_range": [], "channel_def": {"0": "finding"}}
    metadata["network_data_format"] = {"inputs": {"image": image}, "outputs": {"pred": pred}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata | {"operating_points": {}}))
    (folder / "configs" / "inference.json").write_text(json.dumps(INFERENCE))
    return folder


def trained(folder: Path, classes: int = 4, dim: int = 4) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, dim), nn.Linear(dim, classes))
    torch.save(network.state_dict(), folder / "model.pt")
    return folder / "model.pt", network


def arguments(bundle: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    values = {
        "bundle_root": bundle,
        "out": folder / "run" / "bundle",
        "weights": folder / "model.pt",
        "settings": {"image_size": 32, "encoder": {"kind": "mean", "dim": 4}},
        "classes": CLASSES,
        "points": POINTS,
    }
    return values | changes


def test_names_and_thresholds_come_back_from_the_bundle_alone(bundle: Path, tmp_path: Path) -> None:
    weights, network = trained(tmp_path)
    out = pack_run(**arguments(bundle, tmp_path))
    weights.unlink()
    get = bundle_workflow(out, ["inference"], device="cpu").parser.get_parsed_content
    assert get("classes") == CLASSES and get("points") == POINTS and get("image_size") == 32
    image = torch.rand(2, 3, 32, 32)
    made = get("network")
    made.load_state_dict(torch.load(out / "models" / "model.pt", weights_only=True))
    torch.testing.assert_close(made(image), network(image))


def test_a_packed_run_is_a_sound_bundle_without_paths(bundle: Path, tmp_path: Path, repository: Path) -> None:
    trained(tmp_path)
    (bundle / "docs" / "benchmark.json").write_text("{}")
    report = {"file": {"name": "mae.pt"}, "format": "mae", "loaded": ["a"], "left_out": []}
    out = pack_run(**arguments(bundle, tmp_path, encoder_report=report))
    assert check_bundle(find_bundle(str(out))).problems == ()
    metadata = json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))
    schema = json.loads((repository / "components" / "hub" / "metadata.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(metadata)
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"]["spatial_shape"] == [32, 32]
    pred = formats["outputs"]["pred"]
    assert pred["num_channels"] == 4 and list(pred["channel_def"].values()) == CLASSES
    assert json.loads((out / "docs" / "encoder.json").read_text(encoding="utf-8")) == report
    packed = json.loads((out / "docs" / "packed.json").read_text(encoding="utf-8"))
    assert packed["bundle"] == "ecamp_toy" and packed["settings"]["image_size"] == 32
    assert len(packed["weights"]["sha256"]) == 64
    assert not (out / "docs" / "benchmark.json").exists(), "figures of other weights"
    assert (out / "LICENSE").is_file() and (out / "docs" / "README.md").is_file()
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in out.rglob("*.json"))


def test_the_input_is_described_as_the_run_prepared_it(bundle: Path, tmp_path: Path) -> None:
    trained(tmp_path)
    color = {"color": "rgb", "pixel_mean": [0.4, 0.3, 0.2], "pixel_std": [0.2, 0.1, 0.1]}
    for extra, range_, channels in (({}, [-2.0, 2.0], "gray gray gray"), (color, [-3.0, 8.0], "red green blue")):
        out = pack_run(**arguments(bundle, tmp_path, settings={"image_size": 32, "encoder": {"dim": 4}, **extra}))
        metadata = json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))
        image = metadata["network_data_format"]["inputs"]["image"]
        assert image["value_range"] == range_ and list(image["channel_def"].values()) == channels.split()


def test_points_and_report_may_be_files_and_weights_safetensors(bundle: Path, tmp_path: Path) -> None:
    _, network = trained(tmp_path)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    for name, content in (("points", POINTS), ("encoder", {"format": "scratch"})):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = {"weights": tmp_path / "model.safetensors", "points": tmp_path / "points.json"}
    out = pack_run(**arguments(bundle, tmp_path, **files, encoder_report=tmp_path / "encoder.json"))
    metadata = json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["operating_points"] == POINTS
    assert json.loads((out / "docs" / "encoder.json").read_text()) == {"format": "scratch"}


def test_a_run_may_pack_again_and_nothing_else_makes_way(bundle: Path, tmp_path: Path) -> None:
    trained(tmp_path)
    out = pack_run(**arguments(bundle, tmp_path, points=None))
    assert pack_run(**arguments(bundle, tmp_path)) == out
    assert json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))["operating_points"] == POINTS
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
    for name, content in (("mine", None), ("other", {"bundle": "dcxfm_pretrain"})):
        folder = tmp_path / name
        (folder / "docs").mkdir(parents=True)
        if content:
            (folder / "docs" / "packed.json").write_text(json.dumps(content))
        with pytest.raises(FileExistsError, match="no bundle of a run of ecamp_toy"):
            pack_run(**arguments(bundle, tmp_path, out=folder))
        assert folder.is_dir()


def test_a_failed_packing_leaves_the_older_bundle_as_it_was(bundle: Path, tmp_path: Path) -> None:
    trained(tmp_path)
    out = pack_run(**arguments(bundle, tmp_path))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="does not fit the network"):
        pack_run(**arguments(bundle, tmp_path, settings={"encoder": {"dim": 5}}))
    assert {path: path.read_bytes() for path in out.parent.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"image_sise": 32}}, "no setting 'image_sise' at its top level: did you mean 'image_size'"),
        ({"settings": {"zzz": 1}}, "it has channels, color, encoder, image_size, pixel_mean, pixel_std, task"),
        ({"settings": {"output_dir": "x"}}, "no setting 'output_dir'"),
        ({"settings": {"classes": ["a"]}}, "no setting 'classes'"),
        ({"settings": {"network_def": {}}}, "no setting 'network_def'"),
        ({"settings": {"task": "$1 + 1"}}, "must be a plain value"),
        ({"settings": {"encoder": {"_target_": "torch.nn.Identity"}}}, "must be a plain value"),
        ({"settings": {"encoder": nn.Identity()}}, "'encoder' is a Identity, which cannot be written"),
        ({"classes": ["a", "b"], "points": None}, "does not fit the network"),
        ({"points": POINTS | {"classes": CLASSES[::-1]}}, "points are for classes"),
        (
            {"points": POINTS | {"task": "multiclass"}},
            "points are for task 'multiclass', but the model has 'multilabel'",
        ),
        ({"classes": []}, "at least one"),
        ({"classes": "abc"}, "a list of names"),
        ({"classes": ["a", "b", "a"]}, "'a' stands there more than once"),
        ({"classes": ["a", "grade #1"]}, "'grade #1' holds '#'"),
        ({"classes": ["$x"]}, "begins with '\\$'"),
        ({"classes": ["@x"]}, "begins with '@'"),
        ({"classes": ["%x"]}, "begins with '%'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    bundle: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    trained(tmp_path)
    with pytest.raises(ValueError, match=message):
        pack_run(**arguments(bundle, tmp_path, **changes))
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_a_network_of_another_number_of_classes_is_refused(bundle: Path, tmp_path: Path) -> None:
    trained(tmp_path)
    inference = INFERENCE | {"network_def": INFERENCE["network_def"].replace("len(@classes)", "4")}  # type: ignore[attr-defined]
    (bundle / "configs" / "inference.json").write_text(json.dumps(inference))
    with pytest.raises(ValueError, match="answers for 4 classes, but 2 are named"):
        pack_run(**arguments(bundle, tmp_path, classes=["a", "b"], points=None))


def test_missing_weights_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*model.pt"):
        pack_run(**arguments(bundle, tmp_path))
