# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from radbundles.cli import demo_command  # noqa: F401  adds the command
from radbundles.cli.app import app
from radbundles.components.phantom import write_phantoms
from radbundles.demo.examples import word_maps
from radbundles.demo.page import KEY_FIGURES


@pytest.mark.slow
def test_demo_writes_a_page_and_a_manifest(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), "--count", "24", "--epochs", "1", "--hide-text"])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert all(name in manifest["metrics"] and f"untrained {name}" in manifest["metrics"] for name in KEY_FIGURES)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"?https?:", page) and "Not a medical device" in page
    assert (tmp_path / "preview.png").stat().st_size > 10_000
    report = json.loads((tmp_path / "phantoms" / "datalist.json").read_text(encoding="utf-8"))["test"][0]["report"]
    assert report["findings"] not in page, "--hide-text hides the words of reports"


def test_a_faulty_datalist_is_refused_with_the_command_that_tells_all(tmp_path: Path) -> None:
    datalist = write_phantoms(tmp_path, count=20, seed=1, size=64)
    content = json.loads(datalist.read_text(encoding="utf-8"))
    content["training"][0]["image"] = "gone.png"
    datalist.write_text(json.dumps(content), encoding="utf-8")
    result = CliRunner().invoke(app, ["demo", "--data", str(datalist), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "gone.png" in result.output and "radbundles data check" in result.output


def test_a_missing_datalist_says_how_to_make_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--data", str(tmp_path / "none.json")])
    assert result.exit_code == 2
    assert "data build" in result.output


def test_word_maps_join_pieces_and_average_mentions() -> None:
    pieces = ["no", "effu", "##sion", ".", "effu", "##sion", "edema"]
    entity = [False, True, True, False, True, True, True]
    attention = torch.arange(7.0)[:, None, None].expand(7, 2, 2)
    maps = word_maps(pieces, entity, attention)
    assert list(maps) == ["effusion", "edema"]
    assert maps["effusion"][0, 0] == pytest.approx((1 + 2 + 4 + 5) / 4)
    assert maps["edema"][0, 0] == 6
