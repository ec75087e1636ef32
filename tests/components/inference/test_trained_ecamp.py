# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from radbundles.components.distillation import entity_file
from radbundles.components.engines import RecordNetwork
from radbundles.components.hub import load_encoder
from radbundles.components.inference import load_trained_ecamp, report_attention_transform, write_windows
from radbundles.networks import ECAMP, build_encoder, save_ecamp
from radbundles.transforms import entity_forms, load_report_tokenizer

SIZES: dict[str, Any] = {
    **{"image_size": 64, "patch_size": 8, "dim": 8, "depth": 1, "heads": 2, "decoder_dim": 8, "decoder_depth": 1},
    **{"decoder_heads": 1, "text_dim": 8, "text_layers": 1, "text_heads": 2, "text_ffn": 8, "max_length": 48},
}


@pytest.fixture
def network(tokenizer_file: Path) -> ECAMP:
    torch.manual_seed(0)
    return ECAMP(**SIZES, vocab_size=load_report_tokenizer(tokenizer_file).get_vocab_size())


@pytest.fixture
def run_folder(tmp_path: Path, network: ECAMP, tokenizer_file: Path) -> Path:
    """What a run leaves, with settings of its own."""
    folder = tmp_path / "run"
    record = RecordNetwork(
        folder=folder,
        network=network,
        tokenizer=tokenizer_file,
        entities=["drusen", "hard exudate"],
        pixel_mean=0.25,
        pixel_std=0.5,
    )
    record(SimpleNamespace(state=SimpleNamespace(rank=0)))  # type: ignore[arg-type]
    torch.save(network.state_dict(), folder / "model.pt")
    return folder


@pytest.mark.parametrize("place", ["", "model.pt"])
def test_a_run_brings_all_that_belongs_to_its_weights(run_folder: Path, network: ECAMP, place: str) -> None:
    trained = load_trained_ecamp(run_folder / place, device="cpu")
    assert trained.entities == ("drusen", "hard exudate")
    assert (trained.pixel_mean, trained.pixel_std) == (0.25, 0.5)
    assert trained.tokenizer == run_folder / "tokenizer.json"
    assert trained.network.sizes == network.sizes and not trained.network.training
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in trained.network.state_dict().items())


def test_the_record_names_no_folder_of_the_machine(run_folder: Path) -> None:
    assert str(run_folder.parent) not in (run_folder / "config.json").read_text()


def test_other_processes_write_nothing(tmp_path: Path, network: ECAMP, tokenizer_file: Path) -> None:
    record = RecordNetwork(
        folder=tmp_path / "run",
        network=network,
        tokenizer=tokenizer_file,
        entities=["a"],
        pixel_mean=0.0,
        pixel_std=1.0,
    )
    record(SimpleNamespace(state=SimpleNamespace(rank=1)))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_the_record_holds_the_heads_that_an_encoder_is_compared_with(run_folder: Path) -> None:
    sizes = {"kind": "vit", "patch_size": 8, "dim": 8, "depth": 1}
    load_encoder(build_encoder({**sizes, "heads": 2}, image_size=32), run_folder)
    with pytest.raises(ValueError, match="heads"):
        load_encoder(build_encoder({**sizes, "heads": 4}, image_size=32), run_folder)


def test_other_entities_are_taken_by_name(run_folder: Path) -> None:
    assert load_trained_ecamp(run_folder, entities="fundus").entities == entity_forms(entity_file("fundus"))
    with pytest.raises(FileNotFoundError, match="knee"):
        load_trained_ecamp(run_folder, entities="knee")


def test_a_converted_checkpoint_wants_its_tokenizer(tmp_path: Path, network: ECAMP, tokenizer_file: Path) -> None:
    folder = tmp_path / "converted"
    save_ecamp(folder, network.state_dict(), {"config": network.sizes, "source": {"name": "official.pth"}})
    with pytest.raises(FileNotFoundError, match="--tokenizer"):
        load_trained_ecamp(folder)
    trained = load_trained_ecamp(folder, tokenizer=tokenizer_file)
    assert trained.entities == entity_forms(entity_file("chest"))
    assert (trained.pixel_mean, trained.pixel_std) == (0.4721, 0.3037)
    assert trained.network.sizes == network.sizes


def test_a_tokenizer_of_other_words_is_refused(run_folder: Path, tmp_path: Path) -> None:
    content = json.loads((run_folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not the tokenizer that the network was trained with"):
        load_trained_ecamp(run_folder, tokenizer=other)


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path, network: ECAMP, tokenizer_file: Path) -> None:
    small = ECAMP(**SIZES, vocab_size=20)
    save_ecamp(tmp_path / "converted", small.state_dict(), {"config": small.sizes, "source": {}})
    with pytest.raises(ValueError, match="but the network has 20"):
        load_trained_ecamp(tmp_path / "converted", tokenizer=tokenizer_file)


def test_what_is_no_trained_network_is_refused(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained network"):
        load_trained_ecamp(tmp_path / "nowhere")
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(FileNotFoundError, match="no weights in"):
        load_trained_ecamp(bare)
    shutil.copy(run_folder / "model.pt", bare)
    with pytest.raises(FileNotFoundError, match=r"no config.json in .*radbundles pack"):
        load_trained_ecamp(bare)
    (bare / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="does not describe an ECAMP"):
        load_trained_ecamp(bare)


def test_weights_of_another_network_are_refused(run_folder: Path) -> None:
    record = json.loads((run_folder / "config.json").read_text())
    record["network"]["text_ffn"] = 16
    (run_folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="does not fit the network"):
        load_trained_ecamp(run_folder)


@pytest.mark.gpu
def test_a_gpu_places_the_windows_that_a_cpu_places(run_folder: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        report = {"text": "Drusen and hard exudate."}
        rows.append({"id": str(number), "split": "training", "image": f"{number}.png", "report": report})
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for device in ("cpu", "cuda"):
        trained = load_trained_ecamp(run_folder, device=device)
        assert next(trained.network.parameters()).device.type == device
        transform = report_attention_transform(
            tokenizer_file=trained.tokenizer, image_size=64, max_length=48, entities=trained.entities
        )
        write_windows(trained.network, tmp_path / "data.jsonl", tmp_path / f"{device}.jsonl", transform=transform)
    assert (tmp_path / "cpu.jsonl").read_bytes() == (tmp_path / "cuda.jsonl").read_bytes()
