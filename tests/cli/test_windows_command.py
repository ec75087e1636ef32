# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from radbundles.cli import windows_command
from radbundles.cli.app import app
from radbundles.networks import ECAMP, save_ecamp
from radbundles.transforms import SPECIAL_TOKENS, build_report_tokenizer

assert windows_command  # importing it adds the command
runner = CliRunner()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIZES: dict[str, Any] = {
    **{"image_size": 64, "patch_size": 8, "dim": 8, "depth": 1, "heads": 2, "decoder_dim": 8, "decoder_depth": 1},
    **{"decoder_heads": 1, "text_dim": 8, "text_layers": 1, "text_heads": 2, "text_ffn": 8, "max_length": 48},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A converted checkpoint with its tokenizer beside it."""
    pieces = [*SPECIAL_TOKENS, ".", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    torch.manual_seed(0)
    network = ECAMP(**SIZES, vocab_size=len(pieces))
    folder = tmp_path / "model"
    save_ecamp(folder, network.state_dict(), {"config": network.sizes, "source": {}})
    build_report_tokenizer({piece: number for number, piece in enumerate(pieces)}).save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.linear_gradient("L").save(tmp_path / "images" / f"{name}.png")
    rows = [
        {"id": "a", "split": "training", "image": "a.png", "report": {"text": "Small effusion."}},
        {"id": "b", "split": "test", "image": "b.png", "report": {"text": "Drusen."}},
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def arguments(model: Path, datalist: Path, tmp_path: Path) -> list[str]:
    images = ["--dataset-dir", str(tmp_path / "images"), "--device", "cpu"]
    return ["windows", str(model), str(datalist), "--out", str(tmp_path / "out.jsonl"), *images]


def test_summary_as_json_is_all_of_stdout(arguments: list[str]) -> None:
    result = runner.invoke(app, [*arguments, "--json"])
    summary = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (summary["annotated"], summary["without_entity"], summary["failures"]) == (1, 1, 0)
    assert len(summary["network"]) == 12


def test_entity_list_is_chosen(arguments: list[str], tmp_path: Path) -> None:
    before = runner.invoke(app, arguments)
    windows = [json.loads(line)["window"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "placed by attention: 1, without entity: 1" in before.stdout and windows[1] == [1, 1]
    words = tmp_path / "words.json"
    words.write_text(json.dumps({"entities": [{"name": "x", "forms": ["drusen", "effusion"]}]}))
    assert (
        "placed by attention: 2, without entity: 0" in runner.invoke(app, [*arguments, "--entities", str(words)]).stdout
    )


def test_failed_rows_give_exit_code_1_and_a_list(arguments: list[str], datalist: Path, tmp_path: Path) -> None:
    (tmp_path / "images" / "b.png").write_bytes(b"no image")
    datalist.write_text(datalist.read_text() + "{broken\n")
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert "failed: 2" in result.stderr
    failures = (tmp_path / "out.jsonl.failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in failures] == [2, 3]
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["a", "b"]


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (1, "nowhere", "no trained network"),
        (2, "none.jsonl", "does not exist"),
        (None, "--entities=knee", "knee"),
        (None, "--tokenizer=none.json", "no tokenizer"),
        (None, "--distilled=none.jsonl", "does not exist"),
        (None, "--device=teapot", "device 'teapot' cannot be used"),
    ],
)
def test_unusable_input_gives_exit_code_2(
    arguments: list[str], tmp_path: Path, place: int | None, value: str, told: str
) -> None:
    if place is None:
        arguments.append(value)
    else:
        arguments[place] = value
    result = runner.invoke(app, arguments, env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out.jsonl").exists()
