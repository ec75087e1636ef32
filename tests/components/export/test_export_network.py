# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Exported files give what the bundle gives, in every form; what differs is thrown away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from radbundles.components.export import FORMS, ExportError, export_network
from radbundles.components.export.forms import read_form
from radbundles.components.hub import bundle_workflow

Values = dict[str, dict[str, Any]]
BUNDLES = (
    "dcxfm_dense",
    "dcxfm_pretrain",
    "ecamp_classification",
    "ecamp_detection",
    "ecamp_pretrain",
    "ecamp_segmentation",
)


def saved(bundles: Path, name: str, values: dict[str, Any], path: Path) -> Any:
    """Save random weights of a bundle's network; returns the parser whose network has them."""
    parser = bundle_workflow(bundles / name, ["inference"], device="cpu", dataset_dir=str(path.parent), **values).parser
    network = parser.get_parsed_content("network").eval()
    for parameter in network.parameters():  # a head may begin so small that any two images get the same answer
        parameter.data += 0.1 * torch.randn_like(parameter)
    torch.save(network.state_dict(), path)
    return parser


def test_every_bundle_is_tested(bundles: Path) -> None:
    assert sorted(path.parents[1].name for path in bundles.glob("*/configs/inference.json")) == sorted(BUNDLES)


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("form", FORMS)
def test_file_takes_any_number_of_images(name: str, form: str, tmp_path: Path, bundles: Path, small: Values) -> None:
    out = tmp_path / f"net{FORMS[form]}"
    made = export_network(bundles / name, out, values=small[name], untrained=True)
    assert (made.path, made.form) == (out, form) and 0 <= made.parity <= 1e-4
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    run = read_form(form, out)
    for count in (1, 2, 4):
        pred = run(torch.rand(count, *record["input"]["shape"][1:]))
        assert list(pred.shape) == [count, *record["output"]["shape"][1:]] and pred.dtype == torch.float32
    if form == "torch":
        kept = torch.export.load(out).state_dict
        assert kept and not [key for key in kept if "text." in key and name != "ecamp_pretrain"], "the text tower stays"
    assert {path.name for path in tmp_path.iterdir()} == {out.name, "net.json"}


def answer_of_the_bundle(parser: Any, images: torch.Tensor) -> torch.Tensor:
    """What the bundle's own inferer gives, as the exported file should."""
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    with torch.inference_mode():
        found = inferer(images, network)
    if isinstance(found, torch.Tensor):
        return found
    if "pred" in found:
        return found["pred"]
    maps: torch.Tensor = found["maps"]
    if parser.get_parsed_content("zero_shot").logits:
        return nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")
    return maps


@pytest.mark.parametrize("name", BUNDLES)
def test_file_gives_what_inference_gives(name: str, tmp_path: Path, bundles: Path, small: Values) -> None:
    values = {**small[name], "phrases": ["left effusion", "effusion"]} if name == "dcxfm_dense" else small[name]
    parser = saved(bundles, name, values, tmp_path / "model.pt")
    out = tmp_path / "net.ts"
    export_network(bundles / name, out, values=values, weights=tmp_path / "model.pt")
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    images = torch.rand(3, *record["input"]["shape"][1:])
    torch.testing.assert_close(read_form("torchscript", out)(images), answer_of_the_bundle(parser, images))
    assert record["trained"] is True


@pytest.mark.parametrize(
    "changes", [{"negatives": True}, {"maps": "share", "smoothing": 0.0}, {"phrases": []}, {"center_features": True}]
)
def test_question_is_built_in_as_it_is_asked(
    changes: dict[str, Any], tmp_path: Path, bundles: Path, small: Values
) -> None:
    values = {**small["dcxfm_pretrain"], **changes}
    parser = saved(bundles, "dcxfm_pretrain", values, tmp_path / "model.pt")
    out = tmp_path / "net.ts"
    export_network(bundles / "dcxfm_pretrain", out, values=values, weights=tmp_path / "model.pt")
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(read_form("torchscript", out)(images), answer_of_the_bundle(parser, images))
    names = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["output"]["classes"]
    assert names == [*values["phrases"], *values["classes"]]


def test_sidecar_tells_how_to_use_the_file(tmp_path: Path, bundles: Path, small: Values) -> None:
    out = tmp_path / "net.ts"
    export_network(bundles / "ecamp_detection", out, values=small["ecamp_detection"], untrained=True)
    text = out.with_suffix(".json").read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["input"]["name"] == "image" and record["output"]["name"] == "pred"
    steps = {step["transform"].rsplit(".", 1)[-1]: step for step in record["input"]["preprocessing"]}
    assert steps["FitRadiographd"]["size"] == 64
    assert (steps["NormalizeIntensityd"]["subtrahend"], steps["NormalizeIntensityd"]["divisor"]) == (0.4721, 0.3037)
    assert record["output"]["classes"] == ["Pneumonia"]
    assert record["settings"] == {"score_threshold": 0.05, "nms_iou": 0.5, "max_detections": 100}
    assert record["trained"] is False and record["parity"]["difference"] <= 1e-4
    assert str(tmp_path) not in text and str(bundles) not in text


def test_bundle_without_weights_says_how_to_get_them(tmp_path: Path, bundles: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ecamp_classification comes without weights.*weights=FILE"):
        export_network(bundles / "ecamp_classification", tmp_path / "net.pt2")


def test_weights_of_another_network_are_refused(tmp_path: Path, bundles: Path, small: Values) -> None:
    torch.save({"head.bias": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt does not fit the network"):
        values = small["ecamp_classification"]
        export_network(
            bundles / "ecamp_classification", tmp_path / "a.pt2", values=values, weights=tmp_path / "model.pt"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("out", "form", "told"),
    [
        ("net.pth", None, r"net\.pth: the forms are torch \(\.pt2\)"),
        ("net.pt2", "onnx", r"the form onnx has the suffix \.onnx"),
        ("net.pt2", "tensorrt", "the forms are"),
    ],
)
def test_form_and_suffix_must_agree(out: str, form: str | None, told: str, tmp_path: Path, bundles: Path) -> None:
    with pytest.raises(ValueError, match=told):
        export_network(bundles / "ecamp_classification", tmp_path / out, form=form, untrained=True)


def test_onnx_without_its_packages_names_the_extra(
    tmp_path: Path, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"onnx, onnxscript, onnxruntime: pip install 'radbundles\[onnx\]'"):
        export_network(bundles / "ecamp_classification", tmp_path / "net.onnx", untrained=True)


def off_by_a_little(images: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(images), 14) + 1e-3


def not_a_number(images: torch.Tensor) -> torch.Tensor:
    return torch.full((len(images), 14), torch.nan)


def too_few(images: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, 14)


@pytest.mark.parametrize(
    ("wrong", "told"), [(off_by_a_little, "differs"), (not_a_number, "differs"), (too_few, "gives")]
)
def test_file_that_differs_is_thrown_away(
    wrong: Callable[[torch.Tensor], torch.Tensor],
    told: str,
    tmp_path: Path,
    bundles: Path,
    small: Values,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "net.ts"
    export_network(bundles / "ecamp_classification", out, values=small["ecamp_classification"], untrained=True)
    before = hashlib.sha256(out.read_bytes()).hexdigest()
    monkeypatch.setattr("radbundles.components.export.forms.read_form", lambda form, path: wrong)
    with pytest.raises(ExportError, match=told):
        export_network(bundles / "ecamp_classification", out, values=small["ecamp_classification"], untrained=True)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == before, "an older file stays as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"net.ts", "net.json"}
