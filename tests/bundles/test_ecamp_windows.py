# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A first round of training, the windows that its network places, and a second round that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow
from typer.testing import CliRunner

from radbundles.cli import windows_command
from radbundles.cli.app import app
from radbundles.components.data.datalist import iter_datalist
from radbundles.components.hub.pack import pack_bundle
from radbundles.transforms import ECAMP_ENTITIES
from radbundles.transforms.context_window import window_fractions

assert windows_command  # importing it adds the command
Make = Callable[..., ConfigWorkflow]
Settings = dict[str, Any]
MIDDLE = [1 / 14, 1 / 14, 13 / 14, 13 / 14]


def place(*arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["windows", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def windows_of(path: Path) -> dict[str, list[int]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {record["id"]: record["window"] for record in records}


def test_second_round_reads_the_windows_of_the_first(
    bundle: Path, prepared: Path, tmp_path: Path, small: Settings, workflow: Make
) -> None:
    run, out = tmp_path / "run", tmp_path / "windows.jsonl"
    settings = {**small, "dataset_dir": str(prepared)}
    first = workflow("train", "tiny", output_dir=str(run), **settings)
    first.run()
    ids = [item["id"] for _, _, item in iter_datalist(prepared / "datalist.json")]

    summary = place(run, prepared / "datalist.json", "--out", out, "--distilled", prepared / "distilled.jsonl")
    placed = windows_of(out)
    assert list(placed) == ids and summary["items"] == len(ids) and not summary["failures"]
    assert summary["annotated"] == sum(map(sum, summary["places"])) > len(ids) // 2
    assert any(window != [1, 1] for window in placed.values())

    # The file of weights, a packed bundle and another size of batch give the same.
    packed = pack_bundle(
        bundle,
        ["train", "tiny"],
        tmp_path / "packed",
        weights=run / "model.pt",
        tokenizer=prepared / "tokenizer.json",
        overrides={key: value for key, value in small.items() if key == "image_size" or "#" in key},
    )
    for number, model in enumerate((run / "model.pt", packed)):
        again = tmp_path / f"again{number}.jsonl"
        distilled = prepared / "distilled.jsonl"
        place(model, prepared / "datalist.json", "--out", again, "--distilled", distilled, "--batch-size", "3")
        assert windows_of(again) == placed
    names = json.loads((packed / "configs" / "inference.json").read_text())["entities"]
    assert names == [name.lower() for name in ECAMP_ENTITIES]  # asked in words, not by a path of this machine

    second = workflow("train", "tiny", output_dir=str(tmp_path / "second"), windows=str(out), **settings)
    loader = second.parser.get_parsed_content("validate#dataloader")
    seen = {name: window for batch in loader for name, window in zip(batch["id"], batch["window"], strict=True)}
    assert seen
    for name, window in seen.items():
        torch.testing.assert_close(window, torch.tensor(window_fractions(placed[name])))
    second.run()
    assert (tmp_path / "second" / "model.pt").is_file()


@pytest.mark.parametrize("joined", [False, True])
def test_window_of_the_training_batch_follows_the_file(
    prepared: Path, tmp_path: Path, small: Settings, workflow: Make, joined: bool
) -> None:
    windows = tmp_path / "windows.jsonl"
    ids = [item["id"] for _, _, item in iter_datalist(prepared / "datalist.json")]
    chosen = {name: [number % 3, number // 3 % 3] for number, name in enumerate(ids)}
    windows.write_text("".join(json.dumps({"id": name, "window": chosen[name]}) + "\n" for name in ids))
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path), "move_window": False}
    made = workflow("train", "tiny", **settings, **({"windows": str(windows)} if joined else {}))
    batch = next(iter(made.parser.get_parsed_content("train#dataloader")))
    for name, window in zip(batch["id"], batch["window"], strict=True):
        expected = window_fractions(chosen[name]) if joined else MIDDLE
        torch.testing.assert_close(window, torch.tensor(expected))


def test_windows_of_another_datalist_are_refused(
    prepared: Path, tmp_path: Path, small: Settings, workflow: Make
) -> None:
    windows = tmp_path / "windows.jsonl"
    windows.write_text('{"id": "elsewhere", "window": [0, 0]}\n')
    settings = {**small, "dataset_dir": str(prepared), "output_dir": str(tmp_path)}
    with pytest.raises(Exception) as raised:
        workflow("train", "tiny", windows=str(windows), **settings)
    causes: list[BaseException] = [raised.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert "run radbundles windows on this datalist" in str(causes[-1])
