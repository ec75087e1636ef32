# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import radbundles.cli.pack_command as pack_command
from radbundles.cli.app import app
from radbundles.components.hub.bundle_check import check_bundle
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.zero_shot import load_zero_shot
from radbundles.networks import DCXFM, ImageTower, ResNetEncoder, SwinEncoder, TextTower, build_bert
from radbundles.transforms import build_report_tokenizer
from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS

assert pack_command  # its import is what registers the command

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [*SPECIAL_TOKENS, ".", "effusion", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
RUN: dict[str, Any] = {"image_size": 96, "dim": 8, "max_length": 20, "batch_size": 1}
BERT = {"_target_": "radbundles.networks.build_bert", "vocab_size": len(PIECES), "dim": 16, "layers": 1, "heads": 2}
RESNET: dict[str, Any] = {
    "_target_": "radbundles.networks.ResNetEncoder",
    "depth": 18,
    "in_channels": "@channels",
    "widths": [4, 4, 8, 8],
    "blocks": [1, 1, 1, 1],
}


def bert() -> Any:
    return build_bert(vocab_size=len(PIECES), dim=16, layers=1, heads=2)


def resnet(widths: tuple[int, ...] = (4, 4, 8, 8)) -> ResNetEncoder:
    return ResNetEncoder(18, widths=widths, blocks=(1, 1, 1, 1))


@pytest.fixture
def bundle(tmp_path: Path, repository: Path) -> Path:
    """The bundle dcxfm_pretrain with an overlay of a small run."""
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "docs").mkdir()
    source, other = repository / "bundles" / "dcxfm_pretrain", repository / "bundles" / "ecamp_pretrain"
    for name in ("configs/train.json", "configs/inference.json", "LICENSE"):
        (folder / name).write_bytes((source / name).read_bytes())
    for name in ("configs/metadata.json", "docs/README.md", "docs/data_license.txt"):
        (folder / name).write_bytes((other / name).read_bytes())
    overlay = RUN | {"network_def#image#encoder": RESNET, "network_def#text#encoder": BERT}
    (folder / "configs" / "run.json").write_text(json.dumps(overlay))
    return folder


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    build_report_tokenizer({piece: number for number, piece in enumerate(PIECES)}).save(str(path))
    return path


def weights(folder: Path, image: torch.nn.Module, text: torch.nn.Module, dim: int = 8) -> tuple[Path, DCXFM]:
    torch.manual_seed(1)
    network = DCXFM(ImageTower(image, dim=dim), TextTower(text, dim=dim)).eval()
    torch.save(network.state_dict(), folder / "model.pt")
    return folder / "model.pt", network


def test_a_packed_run_answers_by_itself(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    file, network = weights(tmp_path, resnet(), bert())
    out = pack_bundle(bundle, ["train", "run"], tmp_path / "mine", weights=file, tokenizer=tokenizer)
    tokenizer.unlink()
    file.unlink()
    zero_shot = load_zero_shot(out, device="cpu")
    assert (zero_shot.input.fit.size, zero_shot.max_length) == (96, 20)
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(zero_shot.encode_images(image), network(image).detach())
    [found] = zero_shot.ground(np.linspace(0, 1, 100 * 80, dtype=np.float32).reshape(100, 80), ["effusion"])
    assert found.map.shape == (100, 80)


def test_a_packed_bundle_is_a_sound_bundle(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    file, _ = weights(tmp_path, resnet(), bert())
    out = pack_bundle(bundle, ["train", "run"], tmp_path / "mine", weights=file, tokenizer=tokenizer)
    report = check_bundle(find_bundle(str(out)))
    assert report.problems == ()
    config = json.loads((out / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert config["network_def"]["image"]["dim"] == 8 and config["image_size"] == 96
    assert config["batch_size"] == 8, "the batch size belongs to the run"
    assert config["model"]["name"] == "mine"
    assert str(tmp_path) not in "".join(path.read_text() for path in out.rglob("*.json") if path.stem != "tokenizer")
    metadata = json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))["network_data_format"]
    assert metadata["inputs"]["image"]["spatial_shape"] == [96, 96]
    assert (metadata["outputs"]["pred"]["num_channels"], metadata["outputs"]["pred"]["spatial_shape"]) == (8, [3, 3])
    packed = json.loads((out / "docs" / "packed.json").read_text(encoding="utf-8"))
    assert packed["configs"] == ["train", "run"] and len(packed["weights"]["sha256"]) == 64


def test_values_the_run_was_started_with_count(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    file, _ = weights(tmp_path, SwinEncoder(dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1)), bert(), dim=6)
    swin = {"_target_": "radbundles.networks.SwinEncoder", "dim": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1]}
    out = pack_bundle(
        bundle,
        ["train", "run"],
        tmp_path / "mine",
        weights=file,
        tokenizer=tokenizer,
        overrides={"network_def#image#encoder": swin, "dim": 6, "image_size": 64},
    )
    zero_shot = load_zero_shot(out, device="cpu")
    assert zero_shot.encode_images(torch.rand(1, 3, 64, 64)).shape == (1, 6, 2, 2)


def test_a_text_encoder_loaded_from_elsewhere_is_written_down(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    encoder = bert()
    encoder.save_pretrained(published)
    file, network = weights(tmp_path, resnet(), encoder)
    load = {"_target_": "radbundles.networks.load_text_encoder", "source": str(published)}
    out = pack_bundle(
        bundle,
        ["train", "run"],
        tmp_path / "mine",
        weights=file,
        tokenizer=tokenizer,
        overrides={"network_def#text#encoder": load},
    )
    for path in published.iterdir():
        path.unlink()
    vectors = load_zero_shot(out, device="cpu").embed_text(["effusion"])
    tokens = [torch.tensor([[2, PIECES.index("effusion"), 4]]), torch.ones(1, 3), torch.tensor([[0, 1, 0]]).bool()]
    expected = torch.nn.functional.normalize(network.text(*tokens)[1], dim=1)
    torch.testing.assert_close(vectors, expected.detach())


def test_safetensors_are_taken_too(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    _, network = weights(tmp_path, resnet(), bert())
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "m.safetensors")
    out = pack_bundle(
        bundle, ["train", "run"], tmp_path / "mine", weights=tmp_path / "m.safetensors", tokenizer=tokenizer
    )
    assert set(torch.load(out / "models" / "model.pt", weights_only=True)) == set(network.state_dict())


def other_network(folder: Path) -> dict[str, Any]:
    return {"weights": weights(folder, resnet((8, 8, 8, 8)), bert())[0]}


def other_tensors(folder: Path) -> dict[str, Any]:
    torch.save({"image.encoder.conv1.weight": torch.zeros(1)}, folder / "model.pt")
    return {"weights": folder / "model.pt"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (other_network, ValueError, "tensors have another shape"),
        (other_tensors, ValueError, "tensors are missing"),
        (lambda folder: {"weights": folder / "none.pt"}, FileNotFoundError, "none.pt"),
        (lambda folder: {"tokenizer": folder / "none.json"}, FileNotFoundError, "none.json"),
        (lambda folder: {"configs": ["train", "large"]}, FileNotFoundError, "no config 'large'"),
        (lambda folder: {"overrides": {"network_def": "ECAMP"}}, ValueError, "network_def"),
    ],
)
def test_what_does_not_fit_leaves_nothing_behind(
    bundle: Path,
    tokenizer: Path,
    tmp_path: Path,
    change: Callable[[Path], dict[str, Any]],
    error: type[Exception],
    message: str,
) -> None:
    file, _ = weights(tmp_path, resnet(), bert())
    values: dict[str, Any] = {"configs": ["train", "run"], "weights": file, "tokenizer": tokenizer}
    values |= change(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(error, match=message):
        pack_bundle(bundle, values.pop("configs"), tmp_path / "out" / "mine", **values)
    assert not list((tmp_path / "out").iterdir())


def test_the_command_packs_and_never_overwrites(bundle: Path, tokenizer: Path, tmp_path: Path) -> None:
    file, _ = weights(tmp_path, resnet(), bert(), dim=4)
    command = ["pack", str(bundle), "--config", "train", "--config", "run", "--set", "dim=4", "--weights", str(file)]
    command += ["--tokenizer", str(tokenizer), "--out", str(tmp_path / "mine")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert load_zero_shot(tmp_path / "mine", device="cpu").embed_text(["effusion"]).shape == (1, 4)
    again = CliRunner().invoke(app, command, env={"COLUMNS": "400"})
    assert again.exit_code == 2 and "is there already" in again.output
